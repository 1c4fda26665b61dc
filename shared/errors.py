"""Every error the project raises on purpose, each with a stable code.

Permanent and transient are told apart by type, never by a message's text.
"""

from typing import ClassVar


class ClusterError(Exception):
    """Something went wrong that the project has a name for.

    The message defaults to the class's docstring; `code` is part of the API and never changes.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        doc = (type(self).__doc__ or "").strip().splitlines()[0]
        self.message = message or doc
        self.param = param
        super().__init__(self.message)


class PermanentError(ClusterError):
    """Trying again cannot help."""

    code = "permanent"


class TransientError(ClusterError):
    """Trying again may help."""

    code = "transient"


class InvalidSettings(PermanentError):
    """A setting is unknown or has a bad value."""

    code = "invalid_settings"


class InvalidInput(PermanentError):
    """The request does not describe speech that can be made."""

    code = "invalid_input"


class NothingToSpeak(InvalidInput):
    """The input has no letter, digit or phoneme to speak."""

    code = "nothing_to_speak"


class InvalidMarkup(InvalidInput):
    """A mark in the input (a pause, phonemes, a voice, a chapter) is malformed."""

    code = "invalid_markup"


class InvalidLexicon(InvalidInput):
    """A lexicon, or the name of one, is not well-formed."""

    code = "invalid_lexicon"


class UnknownLexicon(InvalidInput):
    """You have no lexicon of that name, or no longer that version of it."""

    code = "unknown_lexicon"


class UnknownVoice(InvalidInput):
    """No voice of that name is loaded."""

    code = "unknown_voice"


class UnknownLanguage(InvalidInput):
    """Kokoro does not speak that language."""

    code = "unknown_language"


class LanguageUnavailable(PermanentError):
    """The language's G2P package is not installed on the plan workers."""

    code = "language_unavailable"


class ModelUnavailable(PermanentError):
    """The model's weights could not be loaded."""

    code = "model_unavailable"


class SourceGone(PermanentError):
    """What the job is made of, segments of another, is gone."""

    code = "source_gone"


class EngineFailed(TransientError):
    """The engine raised while rendering a segment."""

    code = "engine_failed"


class OutOfDeviceMemory(EngineFailed):
    """The device has no room for so many segments at a time."""

    code = "out_of_device_memory"


class DeviceLost(EngineFailed):
    """The device can't be used by this process any more: every later call of it would fail."""

    code = "device_lost"


class ImplausibleAudio(TransientError):
    """The engine returned audio that cannot be speech for its phonemes."""

    code = "implausible_audio"


class DamagedSegment(PermanentError):
    """A stored segment's bytes are cut short or are not a segment's."""

    code = "damaged_segment"


class IncompleteAudio(PermanentError):
    """The segments do not add up to the audio that was planned."""

    code = "incomplete_audio"


class EncodingFailed(TransientError):
    """An encoder or its disk failed."""

    code = "encoding_failed"


class LostLease(PermanentError):
    """The item was given to somebody else; this result must be thrown away."""

    code = "lost_lease"


class IllegalTransition(PermanentError):
    """The ledger refuses a move its transition table does not have."""

    code = "illegal_transition"


class StorageUnavailable(TransientError):
    """Object storage did not answer."""

    code = "storage_unavailable"


class DiskFull(StorageUnavailable):
    """The disk for temporary encodings has no room."""

    code = "disk_full"


class ObjectMissing(PermanentError):
    """No object is stored under that key."""

    code = "object_missing"


class ForbiddenAddress(PermanentError):
    """The webhook's address is not one this cluster may connect to."""

    code = "webhook_address_forbidden"


class InvalidWebhook(InvalidInput):
    """The webhook's URL is not one that can be called."""

    code = "invalid_webhook"


class ResolveFailed(TransientError):
    """The webhook's host name could not be resolved."""

    code = "webhook_unresolvable"


class PlannersBusy(TransientError):
    """Too many questions wait for the plan workers; ask again shortly."""

    code = "planners_busy"


class PlannersSilent(TransientError):
    """No plan worker answered in time; ask again shortly."""

    code = "planners_silent"


class UnknownApiKey(PermanentError):
    """No API key has that id."""

    code = "unknown_api_key"

"""What can be wrong with an uploaded document; each has a code of its own."""

from shared.errors import ClusterError, InvalidInput


class MalformedForm(ClusterError):
    """The body is not a form."""

    code = "malformed_form"


class DocumentUnsupported(ClusterError):
    """The file is of a kind that is not read here: send txt, md, srt or epub."""

    code = "document_unsupported"


class DocumentTooLarge(ClusterError):
    """The file is larger than one may be."""

    code = "document_too_large"


class DocumentTooLong(InvalidInput):
    """The document has more text than one job may speak."""

    code = "document_too_long"


class DocumentBroken(InvalidInput):
    """The file is damaged: it is not what it says it is."""

    code = "document_broken"


class DocumentEncrypted(InvalidInput):
    """The file is encrypted; only its publisher's programs can read it."""

    code = "document_encrypted"


class DocumentBomb(InvalidInput):
    """The file is made to grow without bounds when it is read."""

    code = "document_bomb"


class DocumentTooCostly(InvalidInput):
    """Reading the file takes more memory or time than a document may take."""

    code = "document_too_costly"


FAULTS: dict[str, type[ClusterError]] = {
    kind.code: kind
    for kind in (
        MalformedForm,
        InvalidInput,
        DocumentUnsupported,
        DocumentTooLarge,
        DocumentTooLong,
        DocumentBroken,
        DocumentEncrypted,
        DocumentBomb,
        DocumentTooCostly,
    )
}
"""By code, as the process that reads documents tells of them."""

"""Where audio lives: one small interface over a local folder, S3, Google or Azure storage.

A store is chosen by its URL and configured by the standard environment of its cloud:

* `file:///var/lib/kokoro/objects`: a local folder, made if missing.
* `s3://bucket/prefix`: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
  `AWS_REGION`, `AWS_ENDPOINT_URL`, or the machine's role. Addresses are path-style, unless
  `AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true`; a store without bulk deletion needs
  `AWS_DISABLE_BULK_DELETE=true`.
* `gs://bucket/prefix`: `GOOGLE_APPLICATION_CREDENTIALS`.
* `az://container/prefix`: `AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`.

Every key holds the fencing token or the content hash of its writer, so two writers never share a
key unless their bytes are equal. Writes therefore simply overwrite: a write repeated after a lost
answer succeeds, where "create only" would call the first try a conflict.

Open a store in the process that uses it: its threads do not survive a fork.
"""

from shared.storage.keys import check_key
from shared.storage.opening import open_storage
from shared.storage.store import STREAM_BYTES, ObjectInfo, Storage

__all__ = ["STREAM_BYTES", "ObjectInfo", "Storage", "check_key", "open_storage"]

"""Uploaded documents: a form's body in, text with marks out, in a process of its own.

What enters is a file that holds a `multipart/form-data` body as a client sent it; what leaves is
the form's fields and the document's text, title, author and language. All of it is read by
`python -m gateway.documents`, bounded in memory, time and output and thrown away after: a hostile
file can end that process and nothing else (`gateway.uploads` starts it).
"""

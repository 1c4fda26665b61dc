"""What commands say of themselves at length."""

SAY = """\
Speak a text.

  kokoro-cluster say "Good morning." -o morning.mp3
  cat letter.txt | kokoro-cluster say -o - | ffplay -autoexit -nodisp -
  kokoro-cluster say "Good morning."

The last one needs a terminal and a player: ffplay, mpv, paplay, aplay or afplay. Ctrl-C cancels."""

SUBMIT = """\
Make a job and print its id.

  kokoro-cluster submit book.txt --voice bf_emma --format mp3 --watch -o book.mp3

  kokoro-cluster submit book.epub --watch -o book/

The latter leaves a file of each chapter in a folder (`--split chapters`).

Ctrl-C while watching leaves the job running; `kokoro-cluster watch ID` comes back to it."""

BATCH = """\
Make up to 1,000 jobs, all or none, and print the batch's id. From JSON lines a job each:

  {"input": "Good morning.", "voice": "bf_emma", "custom_id": "morning"}

or from text files: a job of each (called by the file's name), or with --lines of each line.

  kokoro-cluster batch chapters/*.txt --voice bf_emma --watch -o audio/
  kokoro-cluster batch --lines phrases.txt --format wav --watch -o audio/

Exit code 1 with --watch unless all succeeded. With -o each job's audio is called by its custom_id.
Ctrl-C leaves the jobs running; `kokoro-cluster batches watch ID` comes back to them."""

BATCH_WATCH = """\
Show how far a batch is until all its jobs have ended; exit code 1 unless all succeeded."""

WATCH = """\
Show how far a job is until it has ended; exit code 1 unless it succeeded.

Ctrl-C leaves the job running. With --json: one update a line, the last one with the whole job."""

ESTIMATE = """\
Say what a job would come to: seconds of audio, how long it would take, words that stand in no
dictionary. Nothing is made. What is given is a file if there is one of that name, else a text.

  kokoro-cluster estimate book.epub --voice bf_emma
  kokoro-cluster estimate "Dr. Nguyen speaks SQL."

Exit code 1 if the job would fail."""

REDO = """\
Say one segment of a finished job anew: a new job with all else taken over; the old one stays.
`kokoro-cluster show JOB --segments` has the segments' numbers.

  kokoro-cluster redo job_01… 12 "What it should have said." --watch -o mended.mp3

Voice, speed and language stay as they were unless they are given."""

LEXICON_PUT = """\
Store how words are said, in place of what the lexicon had. The file is JSON as
`lexicons show --json` writes it, or lines of a word and what is said instead, phonemes between
slashes:

  SQL = sequel
  Nguyen = /wˈɪn/

Lines that begin with # are passed over."""

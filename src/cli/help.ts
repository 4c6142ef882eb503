/** What `millrace --help` says, and what each command says of itself. */

export const HELP = `Millrace: durable background jobs on worker threads.

Usage: millrace demo [folder] [options]
       millrace doctor <dir> [--repair] [--json]
       millrace compact <dir> [--json]
       millrace supervise [options] -- <program> [arguments]

  demo             Measures every file of a folder (default: the current one) on all
                   cores, one durable job for each: SHA-256, entropy, and the size
                   after brotli at quality 5. Symbolic links are not followed.
                   Stop it with Ctrl-C or kill -9 and run it again: it goes on
                   where it was.
  doctor           Tells what is wrong with a store, and repairs what can be
                   (see millrace doctor --help)
  compact          Makes a store's file as small as what it holds
                   (see millrace compact --help)
  supervise        Runs a program, and runs it again when it dies
                   (see millrace supervise --help)

Options:
  --threads <n>    Threads that run jobs (default: one for each core)
  --store <dir>    Keep the progress below this directory (default: the system's
                   temporary one)
  --fresh          Forget what an interrupted run has done
  --help           Show this
  --version        Show the version

Examples:
  npx millrace demo
  npx millrace demo node_modules --threads 4
  npx millrace demo ~/photos --store ~/.cache --fresh
  npx millrace doctor ./data/jobs

The exit code of demo is 0 also if some of the files could not be read (they are
listed), 1 if the folder or the store cannot be used, 2 for a wrong command line,
and 130 after Ctrl-C.
`

export const DOCTOR_HELP = `Tells what is wrong with a store.

Usage: millrace doctor <dir> [--repair] [--json] [--timeout <d>]

Looks through the data file, page by page without LMDB, and through every record in
it: whether each can be read, the index leads to each job, the counters are what a
recount gives. It looks from a process of its own, because a damaged file can end
the process that opens it. Changes nothing without --repair.

A store that an executor has open is looked at as it was at one commit; its pages are
not looked at. Close the executor to have them looked at, or look at a backup.

Options:
  --repair         Put right what follows from the rest of the store: counters, index,
                   marks, claims, and payloads without a job. A copy of the data file
                   as it was is made beside the directory first. What cannot be put
                   right is left as it is
  --json           Print the report as JSON
  --timeout <d>    Give up after so long, such as 30m (default: 1h)
  --help           Show this

Examples:
  npx millrace doctor ./data/jobs
  npx millrace doctor ./data/jobs --repair
  npx millrace doctor ./data/jobs --json | jq .facts

Exit codes:
  0  healthy
  1  something is wrong; with --repair: something is left that cannot be put right
  2  wrong command line
  3  --repair, while an executor has the store open
  4  something was wrong, and all of it was put right
`

export const COMPACT_HELP = `Makes a store's file as small as what it holds.

Usage: millrace compact <dir> [--json]

LMDB's file never shrinks by itself: it stays as large as the store ever was. This
writes it anew beside the old one, which needs room for both, looks through the new
one and puts it in place at once: stopped at any moment, the store is whole.

Options:
  --json           Print the report as JSON
  --help           Show this

Examples:
  npx millrace compact ./data/jobs

Exit codes:
  0  done, or there was nothing to gain
  1  the store cannot be read, or there is no room for the new file; it is as it was
  2  wrong command line
  3  an executor has the store open
`

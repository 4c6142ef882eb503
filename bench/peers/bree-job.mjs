/** Nothing to do: the thread ends with its module. */
process.exitCode = 0

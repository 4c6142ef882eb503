/** Nothing to do: the thread ends with its module. */
export {}

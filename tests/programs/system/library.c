/* A shared library that says which one it is; one that is preloaded is asked before those that are linked. */
#ifdef ALSO
const char *also_from_library(void);
#endif

const char *from_library(void)
{
#ifdef ALSO
	return also_from_library();
#else
	return WHICH;
#endif
}

#ifdef SECOND
const char *also_from_library(void)
{
	return WHICH;
}
#endif

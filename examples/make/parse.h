int parse(const char *text);
const char *version(void);

#define SIDES 4

int corners(void);

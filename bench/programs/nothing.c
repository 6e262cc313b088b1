/* The small program that the rows about processes start. */
int main(void)
{
	return 0;
}

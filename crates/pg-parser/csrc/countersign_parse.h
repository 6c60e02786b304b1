/* What src/ffi.rs declares again: keep the two in step. */
#ifndef COUNTERSIGN_PARSE_H
#define COUNTERSIGN_PARSE_H

#define COUNTERSIGN_PARSED 0
#define COUNTERSIGN_SYNTAX 1
#define COUNTERSIGN_TOO_COMPLEX 2
#define COUNTERSIGN_NO_MEMORY 3

typedef struct CountersignTree
{
	/* JSON if parsed, else the parser's message, or NULL; freed by countersign_parse_free. */
	char	   *text;
	/* The character, counted from 1, at which the error stands; 0 if none is known. */
	int			cursor;
} CountersignTree;

int			countersign_parse(const char *sql, CountersignTree *out);
void		countersign_parse_free(CountersignTree *tree);

#endif

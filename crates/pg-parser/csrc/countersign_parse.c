/*
 * The one entry into the parser: text in, the raw parse tree as JSON or a syntax error out.
 *
 * It stands in for libpg_query's pg_query_parse.c, which also encodes protobuf and redirects the process's standard error. Nothing here
 * touches a file descriptor.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "countersign_parse.h"

#include "pg_query.h"
#include "pg_query_internal.h"
#include "pg_query_outfuncs.h"

#include "miscadmin.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "utils/guc.h"
#include "utils/guc_hooks.h"

/* The grammar's own stack holds 10,000 symbols; bison reports that it is full as a syntax error. */
static bool
is_full_stack(const ErrorData *error)
{
	return error->message != NULL && strncmp(error->message, "memory exhausted", 16) == 0;
}

int
countersign_parse(const char *sql, CountersignTree *out)
{
	MemoryContext context;

	/* Volatile: written inside PG_TRY, read after a longjmp. */
	char	   *volatile json = NULL;
	char	   *volatile message = NULL;
	volatile int cursor = 0;
	volatile int state = COUNTERSIGN_PARSED;

	out->text = NULL;
	out->cursor = 0;

	/* The smallest limit first: pg_query.c raises it when this thread's stack has room, and leaves it alone when it has not. */
	max_stack_depth = 100;
	assign_max_stack_depth(100, NULL);
	/* Notices (a name that is cut, say) would go to standard error, and quote the statement. */
	log_min_messages = PANIC;

	context = pg_query_enter_memory_context();
	PG_TRY();
	{
		List	   *tree = raw_parser(sql, RAW_PARSE_DEFAULT);

		json = strdup(pg_query_nodes_to_json(tree));
		if (json == NULL)
			state = COUNTERSIGN_NO_MEMORY;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		state = error->sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX || is_full_stack(error) ? COUNTERSIGN_TOO_COMPLEX
			: error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ? COUNTERSIGN_NO_MEMORY
			: COUNTERSIGN_SYNTAX;
		cursor = error->cursorpos;
		message = error->message != NULL ? strdup(error->message) : NULL;
	}
	PG_END_TRY();
	pg_query_exit_memory_context(context);

	out->text = json != NULL ? json : message;
	out->cursor = cursor;
	return state;
}

void
countersign_parse_free(CountersignTree *tree)
{
	free(tree->text);
	tree->text = NULL;
}

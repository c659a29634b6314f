/* Which edges of _records.c an input takes: the compiler calls this at every branch (-fsanitize-coverage=trace-pc). */
#include <stdint.h>

enum { EDGES = 4096 };
uint8_t edges[EDGES]; /* by hash: how often, up to 255 */

static uintptr_t previous;

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t here = (uintptr_t)__builtin_return_address(0) - (uintptr_t)edges; /* the same wherever it is loaded */
    uint8_t *count = edges + ((here ^ previous) & (EDGES - 1));
    *count += *count < 255;
    previous = here << 1;
}

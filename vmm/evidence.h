/* SPDX-License-Identifier: GPL-2.0-only */
/* How much of a text is shown as the evidence of a failure. */
#ifndef KTSTR_VMM_EVIDENCE_H
#define KTSTR_VMM_EVIDENCE_H

#define EVIDENCE_LINES 40u
#define EVIDENCE_TROUBLE_LINES 150u

/*
 * The beginning of the last EVIDENCE_LINES lines of @text; or @trouble, a line of it, when that
 * comes before them and not more than EVIDENCE_TROUBLE_LINES lines before the end: a backtrace is
 * worth little without its head. NULL: no trouble. Line breaks at the end of @text are no lines.
 */
const char *evidence__start(const char *text, const char *trouble);

#endif /* KTSTR_VMM_EVIDENCE_H */

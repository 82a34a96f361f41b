/** The revisions of the protocol that begin with `initialize`, newest first. */
export const legacyRevisions: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

/** Revision 2025-11-25: the user has to visit the addresses in `data.elicitations` before the call can be made. */
export const urlElicitationRequired = -32_042;

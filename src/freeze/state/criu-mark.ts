/** The mark on the packets that CRIU itself sends into a namespace (soccr/soccr.h), and whether a freeze lets it pass. */
import type { FreezeRecord } from '../../record/record';

/** What libsoccr marks the end of a half-closed connection with, when it puts that connection's socket together again. */
export const criuMark = 0xc114;

/** @returns a note where the freeze lets CRIU's packets pass: a hole as long as it is there (law 6) */
export const criuMarkNote = (record: FreezeRecord | null): string[] =>
  record && /mark 0x0000c114 accept/.test(record.text)
    ? ["CRIU's mark 0xC114 passes, for what CRIU sends while it restores; a thaw or the next freeze closes that again"]
    : [];

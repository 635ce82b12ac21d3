/** A ruleset's text for an nft that does not know `queue`, since its kernel does not: a mark stands for each queue. */

/** Quoted texts and comments are passed by; a queue with flags or a range is left for nft to refuse. */
const tokens = /"[^"]*"|#[^\n]*|\bqueue\s+(?:to|num)\s+([0-9]+)(?!\s*[-,]|[0-9])/g;

/** @returns the text with `meta mark set NUMBER` in place of each `queue to NUMBER`; replay.ts puts the queue there */
export const withoutQueues = (text: string): string =>
  text.replace(tokens, (token, number?: string) => (number === undefined ? token : `meta mark set ${number}`));

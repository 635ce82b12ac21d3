/**
 * Freezes made by hand, without netfreeze, under another table's name: what the tests' instruments must be able to tell
 * from the real thing. Each is one script for `nft`, so one transaction.
 */

const chain = (hook: string) =>
  `add chain inet bare ${hook} { type filter hook ${hook} priority -450; }; ` +
  `add rule inet bare ${hook} icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; ` +
  `add rule inet bare ${hook} counter drop`;

/** Both directions at once; what is behind the hooks by then leaves all the same. */
export const bareFreeze = `add table inet bare; ${chain('prerouting')}; ${chain('output')}`;

/** The same in two transactions, as tools do that close one direction after the other. */
export const bareFreezeInTwoSteps = [`add table inet bare; ${chain('output')}`, chain('prerouting')] as const;

export const bareThaw = 'delete table inet bare';

/** The wrong way to replace a freeze: for a moment there is none. */
export const bareReplacement = `${bareThaw}; ${bareFreeze}`;

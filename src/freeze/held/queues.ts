/** The queue numbers of a namespace: those that a freeze uses, and those that are free for one. */
import { findHold } from '../../hold/hold';
import { findKeepers, type Keeper, numbersOf } from '../../hold/keeper';
import { readQueues } from '../../hold/queue';
import { queueRules } from '../../nftables/queue-rules';
import { Exit, Failure } from '../../platform/failure';
import { stateName } from '../../record/record';
import { tableName } from '../../ruleset/acceptance';
import { defaultNumbers, freeNumbers, type QueueNumbers } from '../../ruleset/queue-numbers';
import type { Site } from '../machine';
import type { Standing } from '../state/standing';

/**
 * @param known the keeper, where a record names it
 * @returns what a freeze's rules queue to, as the kernel shows them, or, where somebody has taken a rule away, what its
 *   keeper is bound to; null when nothing is held
 */
export function numbersIn({ netfilter, namespace }: Site, known: Keeper | null = null): QueueNumbers | null {
  const rules = queueRules(netfilter).filter(({ table }) => table === tableName);
  const of = (chain: string) => rules.find((rule) => rule.chain === chain)?.number;
  const [incoming, out] = [of('prerouting'), of('output')];
  if (incoming !== undefined && out !== undefined) return { in: incoming, out };
  if (rules.length === 0 && known === null) return null;
  const [keeper] = findKeepers(stateName(namespace), known);
  return keeper ? numbersOf(keeper) : null;
}

/**
 * Chooses the queue numbers for a target: those of the freeze that stands, else a pair that nothing in the namespace uses.
 * @throws Failure `no-queue-number`
 */
export function chooseQueues(site: Site, standing: Standing | null, name: string): QueueNumbers {
  const standingNumbers = standing?.freezing?.mode === 'steal' ? numbersIn(site) : null;
  const bound = readQueues(site.namespace);
  if (standingNumbers) {
    const isOurs = findHold(site.namespace, stateName(site.namespace), standingNumbers);
    isOurs?.close();
    const numbers = Object.values(standingNumbers);
    if (isOurs || !bound.some(({ number }) => numbers.includes(number))) return standingNumbers;
  }
  const taken = [
    ...queueRules(site.netfilter).filter(({ table }) => table !== tableName),
    ...bound.map(({ number }) => ({ number, total: 1 })),
  ];
  // What a keeper without a table is bound to is about to be free.
  const orphaned = standing ? null : findHold(site.namespace, stateName(site.namespace), defaultNumbers);
  orphaned?.close();
  const mine: number[] = orphaned ? Object.values(defaultNumbers) : [];
  const numbers = freeNumbers(taken.filter(({ number }) => !mine.includes(number)));
  if (numbers) return numbers;
  throw new Failure('no-queue-number', Exit.unsupported, `${name}: every queue number is used by something in it`);
}

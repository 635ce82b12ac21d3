/** Targets that stay pinned over several operations: what a name stands for is asked once. */
import { type Namespace, pin, release, sameNamespace } from '../namespace/namespace';
import type { Target } from '../target/target';
import { type Attempt, resolveAll } from './group';

/** Pinned targets that several operations are done on; whoever has resolved them releases them. */
export type Pinned = readonly Target[];

/** @returns the targets for one operation, which releases what it gets */
export const forOperation = (targets: Pinned): Attempt[] =>
  targets.map((target) => ({
    name: target.name,
    target: { ...target, namespace: pinAgain(target.namespace) },
    failure: null,
  }));

/** @returns a descriptor of its own for the same namespace */
export const pinAgain = ({ fd }: Namespace): Namespace => pin(`/proc/self/fd/${fd}`);

/** Lets go of the targets. */
export const releaseAll = (targets: Pinned): void => {
  for (const { namespace } of targets) release(namespace);
};

/**
 * Resolves names to targets that stay pinned for several operations, each namespace once; the caller releases them.
 * @returns `failed`: what came of each name, where one does not resolve; an operation releases what is in it
 */
export function pinAll(names: string[]): { targets: Target[]; failed: Attempt[] | null } {
  const attempts = resolveAll(names);
  if (attempts.some(({ failure }) => failure !== null)) return { targets: [], failed: attempts };
  const targets: Target[] = [];
  for (const { target } of attempts) {
    if (!target) continue;
    if (targets.some(({ namespace }) => sameNamespace(namespace, target.namespace))) release(target.namespace);
    else targets.push(target);
  }
  return { targets, failed: null };
}

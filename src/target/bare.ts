/** A bare name that `ip netns` does not know: the engines that are on this machine are asked. */
import { hostRole, type Namespace, release, sameNamespace } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { type Lodging, lodge } from './engine';
import type { EngineKind } from './kind';
import { ambiguous, listed, nearNames } from './refusals';

/** What one engine made of a bare name. */
type Finding =
  | { kind: EngineKind; lodging: Lodging }
  | { kind: EngineKind; failure: Failure }
  | { kind: EngineKind; lodging: null };

export interface Found {
  kind: EngineKind;
  lodging: Lodging;
  /** What a person should know of the engines that could not be asked. */
  notes: string[];
}

/** Failures that say that there is one of that name, and not that the engine can't be asked. */
const known = ['not-running', 'ambiguous-target', 'target-restarts'];

/**
 * Asks all engines at once. One that runs in a namespace of its own comes before those that are stopped or on the
 * host's network; two that run are ambiguous, unless they are in the same namespace.
 * @param missing what to say when none knows the name: a message, the known names of other kinds, and advice
 * @throws Failure `no-such-target`, `ambiguous-target`, or what is wrong with the only one of that name
 */
export async function findBare(
  kinds: readonly EngineKind[],
  name: string,
  missing: { message: string; names: string[]; advice: string },
): Promise<Found> {
  const here = kinds.filter((kind) => kind.objection(name) === null && kind.isHere());
  const findings = await Promise.all(here.map((kind) => look(kind, name)));
  const found = findings.flatMap((finding) => ('lodging' in finding && finding.lodging ? [finding as Found] : []));
  const chosen = choose(found);
  for (const other of found) if (other !== chosen) release(other.lodging.namespace);
  if (found.length > 0 && !chosen) {
    throw ambiguous(
      name,
      found.map(({ lodging }) => lodging.name),
    );
  }
  const failures = findings.flatMap((finding) => ('failure' in finding ? [finding.failure] : []));
  const silent = failures.filter(({ code }) => !known.includes(code)).map(({ message }) => message);
  if (chosen) return { ...chosen, notes: silent };
  const own = failures.find(({ code }) => known.includes(code));
  if (own) throw own;
  throw await nowhere(here, name, missing, silent);
}

async function look(kind: EngineKind, name: string): Promise<Finding> {
  try {
    return { kind, lodging: await lodge(kind, name) };
  } catch (error) {
    if (error instanceof Failure) return { kind, failure: error };
    throw error;
  }
}

/** @returns null when it is not to be decided */
function choose(found: Found[]): Found | null {
  const own = found.filter(({ lodging }) => hostRole(lodging.namespace) === null);
  const [first, ...others] = own.length > 0 ? own : found;
  const isSame = ({ lodging }: Found) => sameNamespace(lodging.namespace, first?.lodging.namespace as Namespace);
  return first && others.every(isSame) ? first : null;
}

async function nowhere(
  here: EngineKind[],
  name: string,
  { message, names, advice }: { message: string; names: string[]; advice: string },
  silent: string[],
): Promise<Failure> {
  const asked = listed(
    here.map(({ engine }) => engine),
    'and',
  );
  const also = here.length === 0 ? '' : `, and ${asked} ${here.length > 1 ? 'know' : 'knows'} nothing of that name`;
  const lists = await Promise.all(here.map((kind) => namesOf(kind)));
  return new Failure('no-such-target', Exit.noTarget, [`${message}${also}`, ...silent].join('; '), {
    suggestions: nearNames(
      name,
      [...names, ...lists.flat()],
      here.length > 0 ? `${advice}; ${here[0]?.advice}` : advice,
    ),
  });
}

const namesOf = async (kind: EngineKind): Promise<string[]> =>
  (await kind.names().catch((): string[] => [])).map((name) => `${kind.prefix}:${name}`);

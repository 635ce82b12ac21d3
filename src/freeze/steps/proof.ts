/** The proof of a freeze: the kernel's own state, read back and compared with the rehearsal. */
import { NftRefusal } from '../../nftables/engine';
import { NftJsonError } from '../../nftables/json';
import { Exit, Failure } from '../../platform/failure';
import { shown } from '../../platform/text';
import { differences, type Expectation, explainDifferences, leaseCovers } from '../../ruleset/canonical';
import type { Plan } from '../../ruleset/plan';
import { holdObjection } from '../held/hold';
import { bears, coversLease } from '../state/imprint';
import { generationOf, hasLease, type Lease, readBack, readStanding, type Standing } from '../state/standing';
import type { FreezeRequest, Work } from '../work';
import { settleNeighbours } from './settle';
import { findShortcuts } from './shortcuts';

/**
 * The target's tables are read back and must be what the rehearsal showed; the lease must be in force, and the name must
 * still stand for the namespace.
 * @throws Failure `not-verified`, `target-gone`
 */
export async function prove(target: Work, { arms }: Pick<FreezeRequest, 'arms'>): Promise<void> {
  const { expected, site, name } = target;
  if (!expected || target.done) return;
  const started = performance.now();
  const generation = generationOf(site);
  const standing = readStanding(site);
  const covers = await showsExpected(target, standing, expected);
  target.timings.verifyMs = performance.now() - started;
  const lease: Lease = standing?.lease ?? { state: 'ended' };
  const objectionToLease = arms ? armedObjection(lease) : leaseObjection(lease, target.plan.lease, covers);
  if (objectionToLease) throw unverified(name, objectionToLease);
  if (!target.stillThere()) {
    throw new Failure(
      'target-gone',
      Exit.noTarget,
      `${name} no longer names the namespace that it named: deleted or replaced`,
      {
        suggestions: ['look what became of it and try again'],
      },
    );
  }
  // One change since the target was looked at is ours.
  const { devices, names } = findShortcuts(site, name, { nftables: generation !== target.generation + 1 });
  const gone = expected.hooks.flatMap((hook) => hook.devices).find((device) => !names.includes(device));
  if (gone !== undefined) throw unverified(name, `the device ${shown(gone)} has gone, which a chain is bound to`);
  const open = devices.filter((device) => !target.plan.devices.some((closed) => closed.name === device));
  if (open.length > 0) throw unverified(name, `a flowtable has come to ${open.map(shown).join(', ')} meanwhile`);
  // A sender that was between two hooks when the chains came may have made a neighbour wait since.
  if (!arms) await settleNeighbours(site, target.plan.mode);
  const objection = holdObjection(target);
  if (objection) throw unverified(name, objection);
  target.standing = standing;
  target.generation = generation;
}

function leaseObjection(lease: Lease, wanted: Plan['lease'], covers: boolean): string | null {
  if (lease.state === 'ended') return 'the lease had ended before the freeze was proven';
  if (!hasLease({ lease }, wanted)) return 'the kernel keeps another lease than the one that was asked for';
  return covers ? null : 'the lease does not cover all families';
}

/** What is armed stops nothing. */
const armedObjection = (lease: Lease): string | null =>
  lease.state === 'ended' ? null : 'its lease has elements, which would stop packets';

/**
 * The kernel's dump is compared with the rehearsal's, and where it can't be, or differs, nft's listing.
 * @returns whether the lease covers all families
 * @throws Failure `not-verified` where it shows something else
 */
async function showsExpected(target: Work, standing: Standing | null, expected: Expectation): Promise<boolean> {
  const { imprint } = expected;
  if (standing && imprint && bears(standing.dump, imprint)) return coversLease(standing.dump, imprint);
  const actual = await readBackOrFail(target);
  if (differences(expected, actual).length === 0) return leaseCovers(expected, actual);
  const shown = standing ? await readBack(target.site, { listing: true }) : actual;
  const what = await explainDifferences(expected, shown);
  throw unverified(target.name, `the kernel does not show what was loaded:\n${what}`);
}

/** A listing that can't be had or read proves nothing. */
async function readBackOrFail({ site, name }: Work): Promise<Expectation> {
  try {
    return await readBack(site, { listing: false });
  } catch (cause) {
    if (cause instanceof Failure && cause.code === 'flagged-table') throw unverified(name, cause.message);
    if (!(cause instanceof NftRefusal) && !(cause instanceof NftJsonError)) throw cause;
    throw unverified(name, `the kernel's state could not be read back: ${cause.message}`);
  }
}

const unverified = (name: string, why: string) =>
  new Failure('not-verified', Exit.verificationFailed, `${name}: ${why}`, {
    suggestions: ['something else changes nftables in this namespace: find it, or try again'],
  });

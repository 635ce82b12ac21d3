/** Freezing and thawing in the test's own process, for hundreds of freezes: what differs is the start of a process only. */
import { type PlanFlags, planFrom } from '../../../src/commands/plan-flags';
import { freeze } from '../../../src/freeze/freeze';
import type { Machine } from '../../../src/freeze/machine';
import { thaw } from '../../../src/freeze/thaw';
import type { FreezeRequest } from '../../../src/freeze/work';
import { libnftables } from '../../../src/nftables/libnftables';
import { nftProgram } from '../../../src/nftables/nft-program';
import type { Engine } from './describe';
import type { Lab } from './lab';

/** Each fails with what netfreeze would have said. */
export interface InProcess {
  /** @param flags those of `on` that make a plan */
  freeze(flags?: Partial<PlanFlags>): Promise<void>;
  thaw(): Promise<void>;
}

/** @param flags those of `on` that make a plan */
export async function requestOf(flags: Partial<PlanFlags> = {}, holdTimers = false): Promise<FreezeRequest> {
  const { plan, template } = await planFrom({ mode: 'drop', loopback: 'freeze', ...flags });
  return { plan, template, reason: null, allowHost: false, holdTimers, run: null, dryRun: false, arms: false };
}

/** @returns the way to freeze a lab's box */
export async function inProcess(lab: Lab, name: Engine): Promise<InProcess> {
  const engine = await (name === 'nft' ? nftProgram() : libnftables());
  const machine: Machine = { stateDirectory: lab.stateDir, engine: async () => engine, replays: name === 'replay' };
  return {
    async freeze(flags = {}) {
      const { failure } = await freeze([lab.box], await requestOf(flags), machine);
      if (failure) throw failure;
    },
    async thaw() {
      const request = { discard: false, disarm: false, kick: { sockets: true, peers: false } };
      const { failure } = await thaw([lab.box], request, machine);
      if (failure) throw failure;
    },
  };
}

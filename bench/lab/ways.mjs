// The ways of freezing a namespace that are compared.
import { join } from 'node:path';
import { run } from './programs.mjs';

const program = join(import.meta.dirname, '../../bin/netfreeze');

/**
 * Each way has a `key`, a `name` for tables, a short `label` for the plot, and
 * - `prepare(site)`, where it needs a program of its own at the site;
 * - `freeze(site)`: returns when it says that it is done;
 * - `thaw(site)`: returns when it says that it is done, where it tells so with its `report`.
 * Both return `at`, when it came into force, where nf_tables has nothing to tell of it.
 *
 * A site is what a trial has made (trial.mjs): the pair, and the programs of its ends.
 */
export const ways = {
  filter: {
    key: 'filter',
    name: 'sk_filter on each socket',
    label: 'sk_filter',
    async freeze({ box }) {
      const { at } = await box.ask({ do: 'attach' });
      return { at: at[1] };
    },
    async thaw({ box }) {
      const { at } = await box.ask({ do: 'detach' });
      return { at: at[0] };
    },
  },
  criu: {
    key: 'criu',
    name: 'NF_DROP as CRIU makes it',
    label: 'as CRIU',
    async prepare(site) {
      site.lock = await site.open('box', 'lock');
    },
    async freeze({ lock }) {
      await lock.ask({ do: 'lock' });
    },
    async thaw({ lock }) {
      await lock.ask({ do: 'unlock' });
    },
  },
  plain: netfreeze('plain', 'drop, no kick', 'netfreeze drop, `--no-kick`', [], ['--no-kick']),
  kick: netfreeze('kick', 'drop', 'netfreeze drop', [], []),
  peers: netfreeze('peers', 'drop, kick peers', 'netfreeze drop, `--kick-peers`', [], ['--kick-peers']),
  steal: netfreeze('steal', 'steal', 'netfreeze steal', ['--mode', 'steal'], []),
  dropTimers: netfreeze('dropTimers', 'drop, timers', 'netfreeze drop, `--hold-timers`', ['--hold-timers'], []),
  stealTimers: netfreeze(
    'stealTimers',
    'steal, timers',
    'netfreeze steal, `--hold-timers`',
    ['--mode', 'steal', '--hold-timers'],
    [],
  ),
};

/**
 * Thaws whatever netfreeze has frozen at a site.
 */
export const thawAnyway = (site) => tell(site, ['off', site.pair.name.box]);

/** A freeze of an hour would outlive a lab that was killed; a lease of ten minutes does not. */
const lease = ['--lease', '10m'];

function netfreeze(key, label, name, onOptions, offOptions) {
  return {
    key,
    name,
    label,
    freeze: async (site) => ({ report: await tell(site, ['on', site.pair.name.box, ...lease, ...onOptions]) }),
    thaw: async (site) => ({ report: await tell(site, ['off', site.pair.name.box, ...offOptions]) }),
  };
}

/** Runs netfreeze, as a person would, in a process of its own. @returns its report of the target */
async function tell({ stateDirectory }, args) {
  const outcome = await run(program, [...args, '--json'], { env: { NETFREEZE_STATE_DIR: stateDirectory } });
  if (outcome.exit === 0) return JSON.parse(outcome.stdout).targets[0];
  const [said = ''] = outcome.stderr.split('\n');
  const error = new Error(`netfreeze ${args.join(' ')} ended with ${outcome.exit}\n${outcome.stderr}`);
  // Whoever asks whether it knows a way wants its first line.
  throw Object.assign(error, { said });
}

/** The ruleset that a freeze would load: the same rendering, with what can be learnt of the target without touching it. */

import { missingCapabilities } from '../platform/capabilities';
import { Exit } from '../platform/failure';
import { type Asked, closedDevices } from '../ruleset/plan';
import { defaultNumbers, type QueueNumbers } from '../ruleset/queue-numbers';
import { render, type Template } from '../ruleset/template';
import { checkName, resolve } from '../target/target';
import { chooseQueues } from './held/queues';
import { type Machine, openSite } from './machine';
import { asFailure } from './report';
import { readStanding } from './state/standing';
import { findShortcuts, flowtablesPass } from './steps/shortcuts';

/**
 * Renders the ruleset for a target, or for none.
 * @param name null: no target in particular
 * @returns the text, and what a person should know about it
 * @throws Failure `bad-target` for what can be no name; a target that is missing is no failure
 */
export function preview(
  name: string | null,
  plan: Asked,
  template: Template,
  machine: Machine,
): { text: string; notes: string[] } {
  const { devices, queues, notes } = name === null ? nothing : learn(name, plan, machine);
  return { text: render(template, { ...plan, devices: closedDevices(devices), queues }), notes };
}

/** What a namespace has of its own. */
interface Learnt {
  devices: string[];
  queues: QueueNumbers;
  notes: string[];
}

const nothing: Learnt = { devices: [], queues: defaultNumbers, notes: [] };

function learn(name: string, { mode }: Asked, machine: Machine): Learnt {
  checkName(name);
  if (missingCapabilities('CAP_SYS_ADMIN', 'CAP_NET_ADMIN').length > 0) return nothing;
  try {
    const target = resolve(name);
    const site = openSite(target.namespace, target.name, machine);
    try {
      const shortcuts = findShortcuts(site, target.name);
      if (mode !== 'steal') return { ...nothing, ...shortcuts };
      const notes = [...shortcuts.notes, ...refusal(target.name, shortcuts.devices)];
      return { ...nothing, notes, queues: chooseQueues(site, readStanding(site), target.name) };
    } finally {
      site.close();
    }
  } catch (error) {
    const failure = asFailure(error);
    if (failure.exit === Exit.unexpected) throw failure;
    return { ...nothing, notes: [`${failure.message}; this is the ruleset without what its devices would add`] };
  }
}

const refusal = (name: string, devices: string[]): string[] =>
  devices.length === 0 ? [] : [`\`on\` would refuse it: ${flowtablesPass(name, devices).message}`];

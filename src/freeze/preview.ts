/** The ruleset that a freeze would load: the same rendering, with what can be learnt of the target without touching it. */

import { missingCapabilities } from '../platform/capabilities';
import { Exit } from '../platform/failure';
import { closedDevices, type Plan } from '../ruleset/plan';
import { render, type Template } from '../ruleset/template';
import { checkName, resolve } from '../target/target';
import { type Machine, openSite } from './machine';
import { asFailure } from './report';
import { findShortcuts } from './shortcuts';

/**
 * Renders the ruleset for a target, or for none.
 * @param name null: no target in particular
 * @returns the text, and what a person should know about it
 * @throws Failure `bad-target` for what can be no name; a target that is missing is no failure
 */
export function preview(
  name: string | null,
  plan: Omit<Plan, 'devices'>,
  template: Template,
  machine: Machine,
): { text: string; notes: string[] } {
  const { devices, notes } = name === null ? { devices: [], notes: [] } : learn(name, machine);
  return { text: render(template, { ...plan, devices: closedDevices(devices) }), notes };
}

function learn(name: string, machine: Machine): { devices: string[]; notes: string[] } {
  checkName(name);
  if (missingCapabilities('CAP_SYS_ADMIN', 'CAP_NET_ADMIN').length > 0) return { devices: [], notes: [] };
  try {
    const target = resolve(name);
    const site = openSite(target.namespace, target.name, machine);
    try {
      return findShortcuts(site, target.name);
    } finally {
      site.close();
    }
  } catch (error) {
    const failure = asFailure(error);
    if (failure.exit === Exit.unexpected) throw failure;
    return { devices: [], notes: [`${failure.message}; this is the ruleset without what its devices would add`] };
  }
}

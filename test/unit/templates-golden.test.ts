/** The templates that come with netfreeze, rendered: to the letter what the golden files hold, and what nft made of these. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { acceptText } from '../../src/ruleset/acceptance';
import { builtinTemplates, loadTemplate, render } from '../../src/ruleset/template';
import { endless, plans } from './plans';

const directory = join(__dirname, 'golden');
const golden = (file: string): string => readFileSync(join(directory, file), 'utf8');
const names = Object.keys(plans);

/** The rules of one chain of a table in a listing of nft. */
function rulesOf(listing: string, table: string, chain: string): string[] {
  const block =
    new RegExp(`^table ${table} \\{$.*?^\\tchain ${chain} \\{\\n(.*?)^\\t\\}$`, 'ms').exec(listing)?.[1] ?? '';
  return block
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('type '));
}

describe('golden files', () => {
  test.each(names)('%s: rendered to the letter', async (name) => {
    const plan = plans[name] ?? endless;
    expect(render(await loadTemplate(plan.template), plan)).toBe(golden(`${name}.nft`));
  });

  test('there is a ruleset and a listing for each plan, and none without a plan', () => {
    const files = readdirSync(directory).filter((file) => file !== 'record.sh');
    expect(files.sort()).toEqual(names.flatMap((name) => [`${name}.listing`, `${name}.nft`]).sort());
  });

  test('every template that comes with netfreeze has one', () => {
    expect([...new Set(Object.values(plans).map(({ template }) => template))]).toEqual([...builtinTemplates]);
  });
});

describe('what nft made of them', () => {
  test.each(names)('%s: hooks, sets and rules are those that were meant', (name) => {
    const { mode, lease, loopback, marks, allow, devices, queues } = plans[name] ?? endless;
    const listing = golden(`${name}.listing`);
    for (const hook of ['prerouting', 'output']) {
      expect(listing).toContain(`\t\ttype filter hook ${hook} priority -450; policy accept;\n`);
    }
    expect(listing).toMatch(/^\tset lease \{\n\t\ttype nf_proto\n\t\tflags timeout\n\t\telements = \{ [^}]*\}\n\t\}$/m);
    expect(listing.includes(' timeout ')).toBe(lease !== null);
    const tables = [...listing.matchAll(/^table (.*) \{$/gm)].map(([, table]) => table);
    expect(tables).toEqual(devices.length > 0 ? ['inet netfreeze', 'netdev netfreeze'] : ['inet netfreeze']);
    for (const { name: device, chain } of devices) {
      expect(listing).toContain(
        `\tchain ${chain} {\n\t\ttype filter hook ingress device "${device}" priority -500; policy accept;\n`,
      );
      const rules = rulesOf(listing, 'netdev netfreeze', chain);
      expect(rules).toHaveLength(1 + marks.length + allow.length + 1);
      expect(rules.at(-1)).toBe('meta protocol @lease counter name "in" drop comment "netfreeze/1 drop drop"');
    }
    for (const [chain, counter, queue] of [
      ['prerouting', 'in', queues.in],
      ['output', 'out', queues.out],
    ] as const) {
      const rules = rulesOf(listing, 'inet netfreeze', chain);
      // Discovery takes two rules in what comes in: to the link, and to the namespace itself.
      const discovery = chain === 'prerouting' ? 2 : 1;
      const exemptions = (loopback === 'keep' ? 1 : 0) + discovery + new Set(marks).size + allow.length;
      expect(rules).toHaveLength(exemptions + 1);
      expect(rules.slice(0, -1).every((rule) => rule.endsWith(' accept'))).toBe(true);
      const verdict = mode === 'drop' ? 'drop' : `queue to ${queue}`;
      expect(rules.at(-1)).toBe(
        `meta nfproto @lease counter name "${counter}" ${verdict} comment "netfreeze/1 ${mode} ${mode}"`,
      );
    }
  });

  test('an endless freeze lets neighbour discovery pass and nothing else', () => {
    const listing = golden('endless.listing');
    // RFC 4861: 135 is a solicitation, 136 an advertisement; nft calls code 0 what it means for another type.
    const discovery = 'ip6 hoplimit 255 ip6 length <= 64 icmpv6 type 135-136 icmpv6 code no-route';
    expect(rulesOf(listing, 'inet netfreeze', 'prerouting').slice(0, -1)).toEqual([
      `${discovery} ip6 daddr ff02::/16 accept`,
      `${discovery} fib daddr type local accept`,
    ]);
    expect(rulesOf(listing, 'inet netfreeze', 'output').slice(0, -1)).toEqual([`${discovery} accept`]);
  });

  test('a remote end is a source of what comes in and a destination of what goes out', () => {
    const listing = golden('everything.listing');
    const [incoming, outgoing] = ['prerouting', 'output'].map((chain) => rulesOf(listing, 'inet netfreeze', chain));
    expect(incoming?.slice(4, -1)).toEqual([
      'ip saddr 10.0.0.7 accept',
      'ip6 saddr fd00::/64 accept',
      'ip saddr 192.0.2.9 tcp sport 22 accept',
      'ip6 saddr 2001:db8::9 tcp sport 22 accept',
      'ip6 saddr 2001:db8::9 udp sport 22 accept',
    ]);
    expect(outgoing?.slice(3, -1)).toEqual(
      incoming?.slice(4, -1).map((rule) => rule.replace('saddr', 'daddr').replace('sport', 'dport')),
    );
  });
});

test('what comes with netfreeze keeps the rules for templates that people bring', async () => {
  for (const name of builtinTemplates) {
    const template = await loadTemplate(name);
    const own = Object.values(plans).filter((plan) => plan.template === name);
    for (const plan of own) expect(acceptText(render(template, plan))).toBeNull();
  }
});

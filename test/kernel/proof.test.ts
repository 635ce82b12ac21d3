/** What a proof notices, and that large rulesets take the same way. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSite, type Site } from '../../src/freeze/machine';
import { imprintOf } from '../../src/freeze/state/imprint';
import { readStanding, type Standing } from '../../src/freeze/state/standing';
import { rollBack, takeDown } from '../../src/freeze/steps/rollback';
import { pin } from '../../src/namespace/namespace';
import { libnftables } from '../../src/nftables/libnftables';
import { describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { type Lab, useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';
import { sleep } from './rig/wait';

const emptyExpectation = { objects: [], hooks: [], queues: [], lease: [], listing: '' };
const drop = readFileSync(join(__dirname, '../../templates/drop.nft.hbs'), 'utf8');

/** A template of one's own: the usual one, with more behind it. */
function templateOf(lab: Lab, name: string, more: string): string {
  const file = join(lab.stateDir, `${name}.nft.hbs`);
  writeFileSync(file, `${drop}${more}`);
  return file;
}

describeOneEngine('a proof', (engine) => {
  const makeLab = useLabs(engine);

  test('notices an element that was moved from one set to another, whoever looks', async () => {
    const lab = await makeLab();
    const sets = `table inet netfreeze {
      set denied { type ipv4_addr; elements = { 10.9.9.9 }; }
      set allowed { type ipv4_addr; elements = { 10.9.9.8 }; }
    }
    add rule inet netfreeze prerouting ip saddr @allowed accept
    `;
    const file = templateOf(lab, 'sets', sets);
    const move = (what: string, from: string, to: string) =>
      `delete element inet netfreeze ${from} { ${what} }; add element inet netfreeze ${to} { ${what} }`;
    await lab.freeze('--template', file);
    await lab.nft('box', `${move('10.9.9.9', 'denied', 'allowed')}; ${move('10.9.9.8', 'allowed', 'denied')}`);
    for (const judge of ['replay', 'libnftables', 'nft'] as const) {
      expectExit(await lab.netfreezeIn({ engine: judge }, 'verify', lab.box), 10);
    }
    await lab.freeze('--template', file);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('notices a device that has another name than the chain that is bound to it', async () => {
    const lab = await makeLab();
    const chain = `table netdev netfreeze {
      counter in { }
      set lease { type ether_type; flags timeout; }
      chain ingress { type filter hook ingress device "toPeer" priority -500; policy accept; }
    }
    flush set netdev netfreeze lease
    add element netdev netfreeze lease { ip{{timeout}}, arp{{timeout}} }
    flush chain netdev netfreeze ingress
    add rule netdev netfreeze ingress meta protocol @lease counter name "in" drop comment "{{comment}}"
    `;
    await lab.freeze('--template', templateOf(lab, 'device', chain));
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.ip('box', 'link', 'set', 'toPeer', 'down');
    await lab.ip('box', 'link', 'set', 'toPeer', 'name', 'elsewhere');
    const outcome = expectExit(await lab.netfreeze('verify', lab.box), 10);
    expect(outcome.stderr).toContain('toPeer');
    await lab.thaw();
  });

  test('notices a lease without an end of which a part ends', async () => {
    const lab = await makeLab();
    await lab.freeze();
    await lab.nft(
      'box',
      'delete element inet netfreeze lease { ipv6 }; add element inet netfreeze lease { ipv6 timeout 1h }',
    );
    expect(expectExit(await lab.netfreeze('verify', lab.box), 10).stderr).toContain('ends by itself');
  });

  test('of hundreds of exemptions, and of thousands of elements', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const allowed = Array.from({ length: 400 }, (_, at) => ['--allow', `192.0.2.${at % 250}:${1000 + at}`]).flat();
    await lab.freeze(...allowed);
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    // A template has at most 64 KiB.
    const addresses = Array.from({ length: 4500 }, (_, at) => `10.${at >> 8}.${at & 255}.9`);
    const elements = `add element inet netfreeze many { ${addresses.join(',')} }`;
    const more = `table inet netfreeze {
      set many { type ipv4_addr; }
    }
    flush set inet netfreeze many
    ${elements}
    add rule inet netfreeze prerouting ip saddr @many accept
    `;
    const file = templateOf(lab, 'many', more);
    await lab.freeze('--template', file);
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });
});

describeOneEngine('the way back to a freeze at its end', (engine) => {
  const makeLab = useLabs(engine);

  /** Loads a freeze with a lease, and opens what is needed to go back to it. */
  async function frozen(lab: Lab, lease: string): Promise<Site> {
    const library = libnftables();
    const site = openSite(pin(lab.file('box')), lab.box, { engine: async () => library, replays: true });
    await (await site.session()).load((await lab.netfreeze('preview', '--lease', lease)).stdout);
    return site;
  }

  async function goBack(lab: Lab, site: Site, standing: Standing): Promise<string> {
    const imprint = imprintOf(standing.dump);
    const machine = { engine: async () => libnftables(), replays: true, stateDirectory: lab.stateDir };
    const recorded = await takeDown(site, standing, { ...emptyExpectation, ...(imprint && { imprint }) }, machine);
    const before = { ...recorded, lease: standing.lease, at: performance.now() };
    await lab.nft('box', 'flush chain inet netfreeze output');
    return rollBack(site, lab.box, before, machine);
  }

  test.each([
    ['as good as ended', 600, 570],
    ['with a moment left', 600, 520],
  ])('%s leaves nothing that stops packets', async (_, lease, wait) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const site = await frozen(lab, `${lease}ms`);
    const began = performance.now();
    try {
      while (performance.now() - began < wait) await sleep(1);
      const standing = readStanding(site);
      if (!standing) throw new Error('nothing stands');
      await goBack(lab, site, standing);
    } finally {
      site.close();
    }
    await sleep(300);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await lab.nft('box', 'list ruleset')).not.toContain('elements');
  });
});

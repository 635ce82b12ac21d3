/** Everything in the namespace that is not netfreeze's: the same to the letter during a freeze and after it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEngines } from './rig/describe';
import { useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';

/** All families, chains at our own hooks and priority, sets, maps, counters, a quota, NAT, and names close to ours. */
const rich = `
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "elsewhere" masquerade
  }
}
table ip6 filter {
  chain input {
    type filter hook input priority filter; policy accept;
    tcp dport { 22, 80-90 } counter packets 7 bytes 420 accept
  }
}
table inet firewall {
  counter seen {
    packets 3 bytes 180
  }
  quota little {
    over 25 mbytes
  }
  set blocked {
    type ipv4_addr; flags interval, timeout; timeout 1d
    elements = { 192.0.2.0/24, 198.51.100.7 timeout 1h }
  }
  map ports {
    type inet_service : verdict
    elements = { 25 : drop, 443 : accept }
  }
  chain early {
    type filter hook prerouting priority -450; policy accept;
    ip saddr @blocked counter name "seen" drop comment "an odd { name"
  }
  chain out {
    type filter hook output priority -450; policy accept;
    tcp dport vmap @ports
  }
  chain helper {
    limit rate 10/second burst 5 packets accept
  }
}
table inet netfreeze-like {
  set lease {
    type nf_proto; flags timeout
    elements = { ipv4 }
  }
  chain prerouting {
    type filter hook prerouting priority -400; policy accept;
    meta nfproto @lease counter packets 1 bytes 64 accept comment "netfreeze/1 drop drop"
  }
}
table ip netfreeze-like {
  chain output {
    type filter hook output priority 0; policy accept;
  }
}
table arp netfreeze-not {
  chain in {
    type filter hook input priority filter; policy accept;
    arp operation reply counter packets 2 bytes 56
  }
}
table bridge crossing {
  chain pre {
    type filter hook prerouting priority filter; policy accept;
    ether type arp accept
  }
}
table netdev edge {
  chain in {
    type filter hook ingress device "toPeer" priority -500; policy accept;
    ip frag-off & 0x1fff != 0 counter packets 0 bytes 0
  }
}
`;

describeEngines("a namespace's other rules", (engine) => {
  const makeLab = useLabs(engine);

  test('are the same to the letter while it is frozen and after the thaw', async () => {
    const lab = await makeLab();
    const file = join(lab.stateDir, 'rich.nft');
    writeFileSync(file, rich);
    await lab.run('box', 'nft', '-f', file);
    const before = await listing();

    await lab.freeze('--lease', '1m');
    expect(await lab.nft('box', 'list tables')).toContain('table inet netfreeze\n');
    expect(await withoutOurs()).toBe(before);
    await lab.freeze('--allow-mark', '0x7');
    expectExit(await lab.netfreeze('renew', lab.box, '--lease', '2m'), 0);
    expect(await withoutOurs()).toBe(before);

    await lab.thaw();
    expect(await listing()).toBe(before);

    /** With handles, which change when something is made again; without what time and packets change. */
    async function listing(): Promise<string> {
      const text = await lab.nft('box', '-s', '-a', 'list ruleset');
      return text.replaceAll(/ expires [0-9a-z]+/g, '');
    }

    async function withoutOurs(): Promise<string> {
      return (await listing()).replace(/table inet netfreeze \{[\s\S]*?\n\}\n/, '');
    }
  });

  test('the ruleset of a namespace that was not frozen is not touched by a freeze beside it', async () => {
    const lab = await makeLab();
    await lab.nft('peer', 'add table inet theirs; add chain inet theirs c { type filter hook input priority 0; }');
    const before = await lab.nft('peer', '-a', 'list ruleset');
    await lab.freeze();
    await lab.thaw();
    expect(await lab.nft('peer', '-a', 'list ruleset')).toBe(before);
  });
});

// What the rules of a freeze cost the traffic that passes them: a bulk TCP stream, and small UDP datagrams, between two
// namespaces on one machine.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { median } from '../lab/statistics.mjs';
import { netfreeze } from './netfreeze.mjs';

const [server, client] = ['10.92.7.1', '10.92.7.2'];
const seconds = 2;

/** The states of the namespace that are compared, each with what makes and undoes it. */
const states = [
  { key: 'none', name: 'no table', enter: [], leave: [] },
  { key: 'armed', name: 'armed', enter: ['arm'], leave: ['off', '--disarm'] },
  { key: 'exempt', name: 'frozen, the peer exempted (`--allow`)', enter: ['on', '--allow', client], leave: ['off'] },
];

/**
 * Measures, turn by turn.
 * @returns for each state the medians: bits per second of TCP, datagrams per second of UDP that came
 */
export async function measureTraffic(base, rounds) {
  const [box, peer] = [`${base}-box`, `${base}-peer`];
  const ip = (line) => execFileSync('ip', line.split(' '));
  try {
    for (const name of [box, peer]) ip(`netns add ${name}`);
    ip(`link add eth0 netns ${box} type veth peer name eth0 netns ${peer}`);
    for (const [name, address] of [
      [box, server],
      [peer, client],
    ]) {
      ip(`-n ${name} addr add ${address}/24 dev eth0`);
      ip(`-n ${name} link set eth0 up`);
    }
    const found = new Map(states.map(({ key }) => [key, { tcp: [], udp: [] }]));
    for (let round = 1; round <= rounds; round += 1) {
      process.stderr.write(`traffic: round ${round} of ${rounds}\n`);
      for (const { key, enter, leave } of states) {
        if (enter.length > 0) netfreeze(...enter, box);
        found.get(key).tcp.push((await iperf(box, peer, [])).end.sum_received.bits_per_second);
        const { sum } = (await iperf(box, peer, ['-u', '-b', '0', '-l', '64'])).end;
        found.get(key).udp.push((sum.packets - sum.lost_packets) / sum.seconds);
        if (leave.length > 0) netfreeze(...leave, box);
      }
    }
    return states.map(({ key, name }) => ({ name, tcp: median(found.get(key).tcp), udp: median(found.get(key).udp) }));
  } finally {
    for (const name of [box, peer]) execFileSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  }
}

/** One run of iperf3 from the peer to the box. */
async function iperf(box, peer, options) {
  const listening = spawn('ip', ['netns', 'exec', box, 'iperf3', '-s', '-1', '--forceflush'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(listening, 'exit');
  await once(listening.stdout, 'data');
  const said = execFileSync(
    'ip',
    ['netns', 'exec', peer, 'iperf3', '-c', server, '-J', '-t', String(seconds), ...options],
    {
      encoding: 'utf8',
    },
  );
  listening.stdout.resume();
  await ended;
  return JSON.parse(said);
}

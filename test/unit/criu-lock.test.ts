/** Which lock of its own CRIU puts beside a freeze: from its arguments, its files, and the image that a dump has made. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Caller } from '../../src/checkpoint/criu/caller';
import { lookAtCommand } from '../../src/checkpoint/criu/command';
import { lockOfDump, lockOfImage } from '../../src/checkpoint/criu/own-lock';
import { failureOf } from './failures';
import { useScratchDirectory } from './scratch';

const caller = (args: string[], startedBy = 'bash'): Caller => ({
  pid: 1,
  start: 1,
  args: ['criu', ...args],
  startedBy,
});

describe("CRIU's own lock", () => {
  const directory = useScratchDirectory();
  /** No file of this machine is read. */
  const nowhere = { HOME: '/nonexistent' };

  test.each([
    [['dump', '--network-lock', 'skip', '-R'], 'skip'],
    [['dump', '--network-lock=nftables'], 'nftables'],
    [['dump', '--net', 'skip'], 'skip'],
    [['dump', '--network-lock', 'skip', '--network-lock', 'iptables'], 'iptables'],
    [['dump', '--network-lock', 'SKIP'], 'skip'],
    [['dump', '--no-default-config', '--tree', '1'], null],
    [['dump', '--no-default-config', '--network-lock', 'nonsense'], null],
    [['dump', '--no-default-config', '--network-lock'], null],
  ])('is what the arguments say: %j', (args, lock) => {
    expect(lockOfDump(caller(args), nowhere).lock).toBe(lock);
  });

  test("is what a file says where the arguments say nothing, the user's own first", () => {
    const [named, fromEnvironment] = ['a.conf', 'b.conf'].map((name) => join(directory(), name)) as [string, string];
    writeFileSync(named, '# network-lock iptables\n\t network-lock   "skip" # for netfreeze\ntcp-established\n');
    writeFileSync(fromEnvironment, 'network-lock nftables\n');
    const env = { ...nowhere, CRIU_CONFIG_FILE: fromEnvironment };
    expect(lockOfDump(caller(['dump']), env)).toEqual({ lock: 'nftables', where: fromEnvironment });
    expect(lockOfDump(caller(['dump', '--config', named]), env)).toEqual({ lock: 'skip', where: named });
    expect(lockOfDump(caller(['dump', `--config=${named}`, '--network-lock', 'iptables']), env).lock).toBe('iptables');
  });

  test('is not known of a service, which is told through a socket', () => {
    expect(lockOfDump(caller(['swrk', '3'], 'nobody'), nowhere)).toEqual({
      lock: null,
      where: "neither CRIU's arguments nor its files",
    });
  });

  test.each([
    ['0a', [11, 0], 'iptables'],
    ['what comes before it is passed over', [11, 2], 'skip'],
    ['a method of a later CRIU', [11, 9], null],
    ['an image of before there was a choice', [12, 1], 'iptables'],
  ])('is what the image says (%s)', (_, [field = 0, value = 0], lock) => {
    const message = [0x08, 0x02, 0x1a, 0x03, 0x58, 0x01, 0x58, 0x40, 0xac, 0x02, (field << 3) | 0, value];
    writeFileSync(join(directory(), 'inventory.img'), Buffer.from([...Array(12).fill(0), ...message]));
    expect(lockOfImage(directory()).lock).toBe(lock);
  });

  test.each([
    ['nothing', null],
    ['half a number', [0x58, 0x80]],
    ['no message', [0x07]],
  ])('is not known from an image that has %s', (_, bytes) => {
    if (bytes) writeFileSync(join(directory(), 'inventory.img'), Buffer.from([...Array(12).fill(0), ...bytes]));
    expect(lockOfImage(directory())).toEqual({ lock: null, where: 'nothing: the image could not be read' });
  });
});

describe('a command that is CRIU', () => {
  const look = (words: string[], mode = 'drop', stays = false) => lookAtCommand(words, mode, { stays });
  const dump = ['/usr/sbin/criu', 'dump', '--tree', '1', '--no-default-config'];

  test('in mode steal is refused unless it is told to put up no lock', async () => {
    for (const words of [dump, ['nice', '-n', '5', ...dump], [...dump, '--network-lock', 'nftables']]) {
      const failure = await failureOf(() => look(words, 'steal'));
      expect(failure).toMatchObject({ code: 'steal-beside-lock', exit: 2 });
    }
    expect(look([...dump, '--network-lock', 'skip', '-R'], 'steal')).toEqual([]);
  });

  test('is told of where its tasks end and the thaw would let the kernel reset their connections', () => {
    expect(look(dump)).toEqual([expect.stringContaining('--stay-frozen')]);
    expect(look(dump, 'drop', true)).toEqual([]);
    for (const option of ['-R', '--leave-running', '--leave-run']) expect(look([...dump, option])).toEqual([]);
  });

  test('and nothing is said of what is none', () => {
    expect(look(['sh', '-c', 'criu dump'], 'steal')).toEqual([]);
    expect(look(['criu', 'restore'], 'steal')).toEqual([]);
    expect(look(['criu-ns', 'dump'], 'steal')).toEqual([]);
  });
});

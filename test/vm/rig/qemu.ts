/** QEMU's command line: what the machine is made of, and what differs from one run to the next. */
import { join, resolve } from 'node:path';
import type { Image } from './image';

/** In MiB; jest, netfreeze and CRIU need about half of it. */
const memory = 1536;

/**
 * The machine itself. A snapshot fits only the same machine.
 *
 * Without KVM: it is missing on most machines that run checks, and where it is offered it may hang.
 */
export function hardware(image: Image): string[] {
  const kernel = [
    'console=ttyS0 quiet systemd.show_status=0',
    // A panic ends the machine, and so the run.
    'panic=-1',
    // From the first process on, reports of a lockup reach the console with the stacks of all CPUs: `quiet` keeps back
    // all that the kernel says of them but the first line. A soft lockup is reported after 20 s (`watchdog_thresh` is
    // 10), an RCU stall after 21 s, as Debian's kernel has it: less would be reached by a machine on a busy host.
    'sysctl.kernel.printk=7 sysctl.kernel.softlockup_all_cpu_backtrace=1',
    // Emulated, these cost time and protect nobody.
    'mitigations=off nokaslr init_on_alloc=0 apparmor=0 selinux=0 audit=0 nmi_watchdog=0',
    // An emulated clock is not always in time for the kernel's own checks.
    'no_timer_check tsc=reliable',
    'random.trust_cpu=on',
    // Namespaces are made and removed much faster.
    'rcupdate.rcu_expedited=1',
  ];
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max,la57=off', '-smp', '2', '-m', `${memory}M`],
    ...['-machine', 'q35,usb=off,vmport=off,smbus=off,sata=off,graphics=off,memory-backend=memory'],
    ...['-kernel', join(image.folder, 'vmlinux'), '-initrd', join(image.folder, 'initrd')],
    ...['-append', kernel.join(' ')],
  ];
}

export interface Devices {
  /** Where the sockets and the console's file are. */
  folder: string;
  disk: { file: string; format: 'raw' | 'qcow2' /** Whether what is written stays. */; keep: boolean };
  /** A file behind the machine's memory, for a snapshot: `keep` writes to it, otherwise it is only read. */
  memory: { file: string; keep: boolean } | null;
  /** Host folders that the machine sees: one to read, one to write results to. */
  project: string;
  results: string;
}

/** What the machine is connected with. */
export function devices({ folder, disk, memory: backing, project, results }: Devices): string[] {
  const socket = (name: string) => `${join(folder, name)},server=on,wait=off`;
  const share = (name: string, path: string, options: string) => [
    ...['-fsdev', `local,id=${name},path=${resolve(path)},security_model=none,multidevs=remap${options}`],
    ...['-device', `virtio-9p-pci,fsdev=${name},mount_tag=${name}`],
  ];
  const port = (name: string, number: number) => [
    ...['-chardev', `socket,id=${name},path=${socket(name)}`],
    ...['-device', `virtserialport,chardev=${name},name=${name},nr=${number}`],
  ];
  return [
    '-object',
    backing === null
      ? `memory-backend-ram,id=memory,size=${memory}M`
      : `memory-backend-file,id=memory,size=${memory}M,mem-path=${backing.file},share=${onOff(backing.keep)}`,
    '-drive',
    `file=${disk.file},format=${disk.format},if=none,id=disk,cache=unsafe,snapshot=${onOff(!disk.keep)}`,
    ...['-device', 'virtio-blk-pci,drive=disk'],
    ...['-device', 'virtio-serial-pci', ...port('control', 1), ...port('output', 2)],
    ...share('project', project, ',readonly=on'),
    ...share('results', results, ''),
    ...['-object', 'rng-random,filename=/dev/urandom,id=random', '-device', 'virtio-rng-pci,rng=random'],
    ...['-serial', `file:${consoleOf(folder)}`],
    ...['-qmp', `unix:${socket('qmp')}`],
  ];
}

export const consoleOf = (folder: string) => join(folder, 'console');

const onOff = (on: boolean) => (on ? 'on' : 'off');

/** Which directions of a lab are open right now, and whether they ever differed: see traffic/gauge.py. */
import { address, type Family, families, type Lab, type Place } from './lab';

interface Channel {
  /** Of the usual ones: `out` leaves the box, `in` reaches its programs, `through` and `back` are forwarded by it. */
  name: string;
  from: Place;
  to: Place;
  address: string;
  mark?: number;
}

/** What a time of trying all channels in turn came to. */
export interface Watched {
  tries: number;
  open: Record<string, number>;
  closed: Record<string, number>;
  /** How often the state changed from one try to the next, over all channels. One atomic change is one flip. */
  flips: number;
  /** Datagrams that came later than the kernel's inline delivery brings them; the sequence means nothing then. */
  late: number;
  firstState: 'open' | 'closed';
  lastState: 'open' | 'closed';
}

export interface Gauge {
  /** @returns the channels that let datagrams pass, of all channels that it tries, in the order of `channels` */
  open(): Promise<string[]>;
  begin(): Promise<void>;
  /** Ends a time of watching and begins the next one without a pause. */
  turn(): Promise<Watched>;
  end(): Promise<Watched>;
  /** All channels that it tries. */
  readonly all: string[];
}

/** Opens a gauge on a lab: both directions of both families, forwarded ones too in a router lab. */
export async function openGauge(lab: Lab, shape: 'pair' | 'router' = 'pair'): Promise<Gauge> {
  return gaugeOf(
    lab,
    families.flatMap((family) => channelsOf(family, shape)),
  );
}

/** Opens a gauge on channels of one's own. */
export async function gaugeOf(lab: Lab, channels: readonly Channel[]): Promise<Gauge> {
  const settings = channels.map((channel) => ({ ...channel, from: lab.file(channel.from), to: lab.file(channel.to) }));
  const program = await lab.start('box', 'gauge', { channels: settings });
  return {
    all: channels.map((channel) => channel.name),
    async open() {
      const { arrived } = await program.ask<{ arrived: Record<string, number> }>({ do: 'probe' });
      return Object.keys(arrived).filter((name) => arrived[name] !== 0);
    },
    async begin() {
      await program.ask({ do: 'begin' });
    },
    turn: () => program.ask({ do: 'turn' }),
    end: () => program.ask({ do: 'end' }),
  };
}

function channelsOf(family: Family, shape: 'pair' | 'router'): Channel[] {
  const at = address[family];
  const direct: Channel[] = [
    { name: `out${family}`, from: 'box', to: 'peer', address: at.peer },
    { name: `in${family}`, from: 'peer', to: 'box', address: at.box },
  ];
  if (shape === 'pair') return direct;
  return [
    ...direct,
    { name: `through${family}`, from: 'peer', to: 'far', address: at.far },
    { name: `back${family}`, from: 'far', to: 'peer', address: at.peer },
  ];
}

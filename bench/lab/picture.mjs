// What the picture shows, from the trials' readings. Pure.
import { plot } from './plot.mjs';
import { medianTime } from './statistics.mjs';

/**
 * @param ways those that were compared
 * @param readings see readings.mjs
 * @returns an SVG document: time to the first byte over length of freeze, for streams over IPv4
 */
export function picture(ways, readings) {
  return plot({
    title: 'Time to resume over length of freeze',
    subtitle:
      'From the thaw to the first new byte of a TCP stream: median, and all that was measured; both axes logarithmic',
    panels: [
      { title: 'The frozen namespace sends', series: ways.map((way) => seriesOf(way, readings, 'out')) },
      { title: 'The frozen namespace receives', series: ways.map((way) => seriesOf(way, readings, 'in')) },
    ],
  });
}

function seriesOf(way, readings, direction) {
  const own = readings.filter((reading) => reading.way === way.key);
  const lengths = [...new Set(own.map(({ seconds }) => seconds))].sort((one, other) => one - other);
  const points = lengths.map((nominal) =>
    pointOf(
      nominal,
      own.filter(({ seconds }) => seconds === nominal),
      direction,
    ),
  );
  return { key: way.key, label: way.label, points };
}

function pointOf(seconds, trials, direction) {
  const times = trials
    .flatMap(({ connections }) => connections)
    .filter((one) => one.kind === 'stream' && one.version === 4 && one.direction === direction)
    .map(({ first }) => first ?? Infinity);
  return { seconds, median: medianTime(times), low: Math.min(...times), high: Math.max(...times) };
}

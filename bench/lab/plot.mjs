// The picture of the lab: time to resume over length of freeze, all ways, both directions. Pure.
import { decades, logScale, spread } from './scale.mjs';
import { time } from './statistics.mjs';
import { element, line, path, text } from './svg.mjs';

const width = 1060;
const height = 560;
const panel = { top: 104, bottom: 500, width: 340 };
const left = [70, 580];
const label = { gap: 15, offset: 16 };
/** Ways that take equally long would cover each other: their marks stand side by side. */
const beside = 4;

/** Microseconds. */
const fastest = 100;
const slowest = 1e8;

const ink = '#1f2933';
const faint = '#e3e7eb';
const grey = '#66727f';

/** How a way is drawn; colours that also those tell apart who see fewer. */
const looks = {
  filter: { colour: '#e08214', mark: 'triangle', dashes: '7 4' },
  criu: { colour: '#b2182b', mark: 'square', dashes: '3 3' },
  plain: { colour: '#7f8a94', mark: 'circle', dashes: '' },
  kick: { colour: '#2b7bba', mark: 'diamond', dashes: '' },
  peers: { colour: '#2f9e77', mark: 'square', dashes: '' },
  steal: { colour: '#5b2a86', mark: 'circle', dashes: '', strong: true },
};

/**
 * @param panels for each its `title` and `series`: for each way its `key`, `label` and `points`, each with `seconds` and
 *   `median`, `low`, `high` in microseconds (Infinity for what never came)
 * @returns an SVG document
 */
export function plot({ title, subtitle, panels }) {
  return `${element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: 'img',
      'font-family': 'system-ui, "Helvetica Neue", Helvetica, Arial, sans-serif',
      'font-size': 12,
      fill: ink,
    },
    element('title', {}, title),
    element('rect', { width, height, fill: '#ffffff' }),
    text(left[0] - 46, 30, title, { 'font-size': 18, 'font-weight': 600 }),
    text(left[0] - 46, 50, subtitle, { fill: grey }),
    panels.map((one, index) => drawPanel(one, left[index], index === 0)),
  )}\n`;
}

function drawPanel({ title, series }, from, isFirst) {
  const to = from + panel.width;
  const lengths = [...new Set(series.flatMap(({ points }) => points.map(({ seconds }) => seconds)))];
  const x = logScale([Math.min(1, ...lengths), Math.max(30, ...lengths)], [from + 22, to - 14]);
  const y = logScale([fastest, slowest], [panel.bottom, panel.top]);
  const ends = series.map(({ points }) => y(points.at(-1).median));
  const places = spread(ends, label.gap, [panel.top, panel.bottom]);
  return [
    text(from, panel.top - 22, title, { 'font-size': 14, 'font-weight': 600 }),
    decades(fastest, slowest).map((value) => [
      line([from, y(value)], [to + 8, y(value)], { stroke: faint }),
      isFirst
        ? text(from - 8, y(value) + 4, time(value).replace('.0 ', ' '), { 'text-anchor': 'end', fill: grey })
        : '',
    ]),
    lengths.map((seconds) => [
      line([x(seconds), panel.top], [x(seconds), panel.bottom + 5], { stroke: faint }),
      text(x(seconds), panel.bottom + 19, `${seconds} s`, { 'text-anchor': 'middle', fill: grey }),
    ]),
    line([from, panel.bottom], [to + 8, panel.bottom], { stroke: grey }),
    text((from + to) / 2, panel.bottom + 40, 'length of the freeze', { 'text-anchor': 'middle', fill: grey }),
    series.map((one, index) => {
      const shift = (index - (series.length - 1) / 2) * beside;
      return drawSeries(one, (seconds) => x(seconds) + shift, y, places[index], to);
    }),
  ];
}

function drawSeries({ key, label: name, points }, x, y, place, to) {
  const { colour, mark, dashes, strong } = looks[key];
  const drawn = points.map(({ seconds, median }) => [x(seconds), y(median)]);
  const [endX, endY] = drawn.at(-1);
  return element(
    'g',
    { stroke: colour, fill: 'none' },
    points.map(({ seconds, low, high }) =>
      line([x(seconds), y(low)], [x(seconds), y(high)], {
        'stroke-width': 4,
        'stroke-opacity': 0.25,
        'stroke-linecap': 'round',
      }),
    ),
    path(drawn, { 'stroke-width': strong ? 3 : 1.8, 'stroke-dasharray': dashes || 'none', 'stroke-linejoin': 'round' }),
    drawn.map(([atX, atY]) => marks[mark](atX, atY, { fill: strong ? colour : '#ffffff', 'stroke-width': 1.8 })),
    line([endX + 6, endY], [to + label.offset + 4, place], { 'stroke-opacity': 0.5 }),
    text(to + label.offset + 8, place + 4, name, { fill: colour, stroke: 'none', 'font-weight': strong ? 700 : 500 }),
  );
}

const marks = {
  circle: (x, y, more) => element('circle', { cx: x, cy: y, r: 3.6, ...more }),
  square: (x, y, more) => element('rect', { x: x - 3.3, y: y - 3.3, width: 6.6, height: 6.6, ...more }),
  triangle: (x, y, more) =>
    closed(
      [
        [x, y - 4.6],
        [x + 4.4, y + 3.4],
        [x - 4.4, y + 3.4],
      ],
      more,
    ),
  diamond: (x, y, more) =>
    closed(
      [
        [x, y - 5],
        [x + 5, y],
        [x, y + 5],
        [x - 5, y],
      ],
      more,
    ),
};

const closed = (points, attributes) =>
  element('polygon', { points: points.map((point) => point.join(',')).join(' '), ...attributes });

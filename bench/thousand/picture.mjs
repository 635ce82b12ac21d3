// The picture: what one namespace costs, over how many are frozen at once. Pure.
import { decades, logScale, spread } from '../lab/scale.mjs';
import { element, line, path, text } from '../lab/svg.mjs';

const [width, height] = [860, 480];
const area = { left: 80, right: 520, top: 80, bottom: 420 };
const [ink, faint, grey] = ['#1f2933', '#e3e7eb', '#66727f'];
const colours = {
  three: '#5b2a86',
  two: '#2b7bba',
  run: '#2f9e77',
  exec: '#b2182b',
  nsenter: '#e08214',
  xargs: '#7f8a94',
  criu: '#8c510a',
  floor: '#000000',
};

/**
 * @param series for each way its `key`, `name`, and `points` of `size` and milliseconds per namespace, `ms`
 * @returns an SVG document
 */
export function picture(series) {
  const all = series.flatMap(({ points }) => points);
  const sizes = [...new Set(all.map(({ size }) => size))];
  const [low, high] = [Math.min(...all.map(({ ms }) => ms)) / 1.5, Math.max(...all.map(({ ms }) => ms)) * 1.5];
  const x = logScale([Math.min(...sizes), Math.max(...sizes, 2)], [area.left, area.right]);
  const y = logScale([low, high], [area.bottom, area.top]);
  const lasts = series.map(({ points }) => points.at(-1));
  const places = spread(
    lasts.map(({ ms }) => y(ms)),
    18,
    [area.top, area.bottom],
  );
  const font = {
    'font-family': 'system-ui, "Helvetica Neue", Helvetica, Arial, sans-serif',
    'font-size': 12,
    fill: ink,
  };
  return `${element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', ...font },
    element('title', {}, 'Freeze, proof and thaw: milliseconds per namespace'),
    element('rect', { width, height, fill: '#ffffff' }),
    text(24, 30, 'Freeze, proof and thaw: milliseconds per namespace', { 'font-size': 18, 'font-weight': 600 }),
    text(24, 50, 'over the number of namespaces in one operation; both axes logarithmic', { fill: grey }),
    decades(low, high).map((value) => [
      line([area.left, y(value)], [area.right, y(value)], { stroke: faint }),
      text(area.left - 8, y(value) + 4, `${value} ms`, { 'text-anchor': 'end', fill: grey }),
    ]),
    sizes.map((size) =>
      text(x(size), area.bottom + 20, size.toLocaleString('en-US'), { 'text-anchor': 'middle', fill: grey }),
    ),
    series.map(({ key, name, points }, at) => [
      path(
        points.map(({ size, ms }) => [x(size), y(ms)]),
        {
          fill: 'none',
          stroke: colours[key],
          'stroke-width': 2,
          ...(key === 'floor' && { 'stroke-dasharray': '4 3' }),
        },
      ),
      points.map(({ size, ms }) => element('circle', { cx: x(size), cy: y(ms), r: 3, fill: colours[key] })),
      line([x(points.at(-1).size) + 6, y(points.at(-1).ms)], [area.right + 18, places[at]], { stroke: faint }),
      text(area.right + 24, places[at] + 4, name.replaceAll('`', ''), { fill: colours[key] }),
    ]),
  )}\n`;
}

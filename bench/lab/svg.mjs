// The little of SVG that a plot needs. Pure.

/** @returns an element as text; children are elements, or text that has been through `text` */
export function element(name, attributes, ...children) {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(rounded(value))}"`);
  const inside = children.flat(Infinity).join('');
  return inside === '' ? `<${name}${written.join('')}/>` : `<${name}${written.join('')}>${inside}</${name}>`;
}

/** @returns a line of text at a place */
export const text = (x, y, content, attributes = {}) => element('text', { x, y, ...attributes }, escaped(content));

/** @returns a path through points */
export const path = (points, attributes) =>
  element('path', {
    d: points.map(([x, y], index) => `${index ? 'L' : 'M'}${rounded(x)} ${rounded(y)}`).join(''),
    ...attributes,
  });

/** @returns a straight line between two points */
export const line = (from, to, attributes) => path([from, to], attributes);

const rounded = (value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value);

const escaped = (value) => String(value).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

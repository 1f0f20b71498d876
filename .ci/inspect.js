/* What is wrong with a page at this width and in this scheme, in one line each: run by check_book.py. */
const [width, done] = arguments, faults = [];
const article = document.querySelector('article');
const short = element => (element.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 40);

// ---- colours
const channels = text => {
  const found = (text.match(/-?[\d.]+(e-?\d+)?/g) || []).map(Number);
  const rgb = text.startsWith('color(srgb') ? found.slice(0, 3).map(one => one * 255) : found.slice(0, 3);
  return rgb.length < 3 ? null : [...rgb, found.length > 3 ? found[3] : 1];
};
const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
const light = ([r, g, b]) => [r, g, b].map(one => one / 255)
  .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
  .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
const contrast = (one, other) => {
  const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const ground = element => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = channels(getComputedStyle(at).backgroundColor);
    if (colour && colour[3] > 0) layers.push(colour);
    if (colour && colour[3] === 1) break;
  }
  return layers.reverse().reduce((below, colour) => over(colour, below), [255, 255, 255, 1]);
};
const opacity = element => {
  let all = 1;
  for (let at = element; at && at !== article; at = at.parentElement) all *= Number(getComputedStyle(at).opacity);
  return all;
};
const seen = element => {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility === 'visible' && opacity(element) > 0;
};
const paint = (element, what) => {
  const style = getComputedStyle(element), colour = style[what] === 'none' ? null : channels(style[what]);
  if (!colour) return null;
  return [...colour.slice(0, 3), colour[3] * Number(style[`${what}Opacity`]) * opacity(element)];
};
// What an element of a drawing is drawn on: the nearest shape below its middle, or the page.
const below = (element, box) => {
  const page = ground(element.ownerSVGElement.parentElement);
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const stack = document.elementsFromPoint(x, y), from = stack.indexOf(element);
  for (const shape of stack.slice(from + 1)) {
    if (!(shape instanceof SVGGeometryElement) || shape.ownerSVGElement !== element.ownerSVGElement) continue;
    const fill = paint(shape, 'fill');
    if (fill && fill[3] > 0) return over(fill, page);
  }
  return page;
};
const unlike = (element, least, ratio, what) => {
  if (ratio < least - 0.05) faults.push(`contrast ${ratio.toFixed(1)} of ${what}: ${short(element) || element.getAttribute('class') || element.tagName}`);
};
function colours() {
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const texts = new Set();
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (walker.currentNode.textContent.trim() && !parent.closest('svg, script, style, noscript, .headerlink, mjx-container, :disabled, select'))
      texts.add(parent);
  }
  for (const element of texts) {
    if (!seen(element)) continue;
    const behind = ground(element), ink = channels(getComputedStyle(element).color);
    unlike(element, 4.5, contrast(over([...ink.slice(0, 3), ink[3] * opacity(element)], behind), behind), 'text');
  }
  for (const drawing of article.querySelectorAll('svg[role="img"]')) {
    for (const text of drawing.querySelectorAll('text')) {
      if (!text.textContent.trim() || !seen(text)) continue;
      if (text.getBoundingClientRect().top < 0 || text.getBoundingClientRect().bottom > innerHeight)
        text.scrollIntoView({block: 'center', behavior: 'instant'});
      const behind = below(text, text.getBoundingClientRect()), ink = paint(text, 'fill');
      if (ink) unlike(text, 4.5, contrast(over(ink, behind), behind), 'text in a drawing');
      const size = text.getBoundingClientRect().height;
      if (width < 600 && size < 8) faults.push(`text of ${size.toFixed(0)} px in a drawing: ${short(text)}`);
    }
    // A mark says something; a grid, a band or an axis only helps to read it.
    for (const mark of drawing.querySelectorAll('circle, path, rect, line, polyline, polygon')) {
      if (!seen(mark) || mark.closest('defs, clipPath, [aria-hidden="true"], .grid, .band, .axis, .faint')) continue;
      const page = ground(drawing.parentElement);
      const paints = ['fill', 'stroke'].map(what => paint(mark, what)).filter(colour => colour && colour[3] >= 0.5);
      if (paints.length) unlike(mark, 3, Math.max(...paints.map(colour => contrast(over(colour, page), page))), 'a mark');
    }
  }
}

// ---- what a reader who does not see, and who uses keys, is given
function names() {
  for (const image of document.images) {
    const source = image.getAttribute('src') || '', name = source.startsWith('data:') ? 'data:' : source.split('/').pop();
    if (!image.naturalWidth) faults.push(`missing image ${name.slice(0, 60)}`);
    // Sphinx writes the file's name where an author gave no text.
    if (article.contains(image) && !image.closest('[aria-hidden="true"]') && (!image.alt || image.alt.endsWith(name)))
      faults.push(`no alternative text for ${name.slice(0, 60)}`);
  }
  for (const drawing of article.querySelectorAll('svg')) {
    if (drawing.closest('button, a, summary, [aria-hidden="true"], [role="img"] svg, mjx-container')) continue;
    if (drawing.getAttribute('role') !== 'img' || !(drawing.getAttribute('aria-label') || drawing.getAttribute('aria-labelledby')))
      faults.push('a drawing without role="img" and aria-label');
  }
  for (const table of article.querySelectorAll('.cell_output table')) {
    if (!table.caption && !table.getAttribute('aria-label')) faults.push(`a table without a caption: ${short(table)}`);
    if (table.querySelector('th:not([scope])')) faults.push(`a heading of a table without scope: ${short(table)}`);
  }
  for (const control of article.querySelectorAll('button, select, input, a[href]'))
    if (!(control.textContent.trim() || control.getAttribute('aria-label') || control.title || control.labels?.length ||
      control.querySelector('img[alt], [aria-label]'))) faults.push(`a control without a name: ${control.outerHTML.slice(0, 60)}`);
}

// ---- what is not filled in or does not fit
function filled() {
  for (const formula of article.querySelectorAll('.math'))
    if (!formula.querySelector('mjx-container')) faults.push(`formula not set: ${short(formula)}`);
  // MathJax sets a command that it does not know in red, other mistakes in a box.
  for (const error of article.querySelectorAll('mjx-merror, mjx-mtext[style*="red"]')) {
    const spoken = error.closest('mjx-container').querySelector('mjx-assistive-mml');
    faults.push(`formula wrong: ${short(spoken || error)}`);
  }
  for (const mark of article.querySelectorAll('.problematic, .system-message')) faults.push(`error mark: ${short(mark)}`);
  for (const prose of article.querySelectorAll('p, li, td, th, figcaption, h1, h2, h3'))
    if (!prose.closest('dl.py') && /\{(glue|numref|ref|cite|eq|doc)[:}]|np\.\w+\(|No key .* in glue/.test(prose.textContent)) faults.push(`not filled in: ${short(prose)}`);
}
function sizes() {
  for (const table of article.querySelectorAll('table')) {
    if (!table.getClientRects().length || table.closest('.highlight, mjx-container')) continue;
    const column = table.parentElement.clientWidth, own = table.getBoundingClientRect().width;
    if (own > column + 1) faults.push(`a table of ${own.toFixed(0)} px in a column of ${column}: ${short(table)}`);
    for (const cell of table.querySelectorAll('td, th'))
      if (cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth) { faults.push(`a cell is too narrow: ${short(cell)}`); break; }
  }
  const wide = document.documentElement.scrollWidth;
  if (wide <= width + 1) return;
  const boxed = element => element && element !== article && (getComputedStyle(element).overflowX !== 'visible' || boxed(element.parentElement));
  const outside = [...article.querySelectorAll('*')].find(element =>
    element.getBoundingClientRect().right > width + 1 && !boxed(element.parentElement));
  faults.push(`page is ${wide} px wide` + (outside ? `: <${outside.tagName.toLowerCase()} class="${outside.getAttribute('class') || ''}">` : ''));
}

// Formulas and images come in after the page.
Promise.all([
  window.MathJax && MathJax.startup ? MathJax.startup.promise : null,
  ...[...document.images].map(image => image.decode().catch(() => null)),
]).then(() => { names(); filled(); sizes(); colours(); scrollTo(0, 0); done([...new Set(faults)]); },
  error => done([`the page could not be inspected: ${error}`]));

/* What is wrong with the layout of the page that is open, a sentence each. Run by test_pages_in_a_browser.py. */
() => {
  const problems = [];
  const wide = document.documentElement.clientWidth;
  const say = (element, what) => {
    const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
    problems.push(`${element.tagName.toLowerCase()}.${element.getAttribute("class") || ""} "${text}" ${what}`);
  };
  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility !== "hidden";
  };

  if (document.documentElement.scrollWidth > wide) {
    problems.push(`the page is ${document.documentElement.scrollWidth} pixels wide on a screen of ${wide}`);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("svg") && element.tagName !== "svg") continue;
    if (element.closest(".skip, script") || !isVisible(element)) continue;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    const scroller = element.closest(".scroll");
    if (!scroller || scroller === element) {
      if (box.left < -1 || box.right > wide + 1) say(element, `lies from ${box.left} to ${box.right} of ${wide}`);
    } else if (getComputedStyle(scroller).overflowX !== "auto") {
      say(scroller, "is wider than its box and does not scroll");
    }
    if (style.overflowX === "hidden" && element.scrollWidth > element.clientWidth + 1) say(element, "is cut off");
  }

  /* Tables of many columns are stacked on a phone, others are small: none of these has to be scrolled. */
  for (const region of document.querySelectorAll(".scroll")) {
    if (region.scrollWidth > region.clientWidth + 1) say(region, `is scrolled: ${region.scrollWidth} in ${region.clientWidth}`);
  }
  for (const caption of document.querySelectorAll("caption > span")) {
    const box = caption.getBoundingClientRect();
    const lines = box.height / parseFloat(getComputedStyle(caption).lineHeight);
    const room = caption.closest(".scroll").clientWidth;
    if (lines > 1.5 && box.width < 0.6 * Math.min(room, 700)) say(caption, `stacks ${lines} lines in ${box.width} pixels`);
  }

  for (const svg of document.querySelectorAll(".chart svg")) {
    if (!isVisible(svg)) continue;
    const frame = svg.getBoundingClientRect();
    const name = svg.querySelector("title").textContent;
    const texts = Array.from(svg.querySelectorAll("text"), (text) => [text, text.getBoundingClientRect()]);
    if (!texts.length) problems.push(`the chart ${name} has no text`);
    const overlap = (a, b) =>
      Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
    texts.forEach(([text, box], number) => {
      if (parseFloat(getComputedStyle(text).fontSize) * (frame.width / svg.viewBox.baseVal.width) < 8.5) {
        say(text, `is too small to be read in ${name}`);
      }
      if (box.left < frame.left - 2 || box.right > frame.right + 2) say(text, `reaches beyond the chart ${name}`);
      for (const [other, otherBox] of texts.slice(number + 1)) {
        if (overlap(box, otherBox)) say(text, `lies on "${other.textContent}" in ${name}`);
      }
      /* The threshold: the one dashed line in the colour of text. */
      for (const line of svg.querySelectorAll("path[style*='stroke-dasharray'][style*='stroke: var(--ink)']")) {
        const place = line.getBoundingClientRect();
        if (overlap(box, { ...place.toJSON(), left: place.left - 1, right: place.right + 1 })) {
          say(text, `lies on the line of the threshold in ${name}`);
        }
      }
    });
  }

  /* The font and the colours of the page reach the charts. */
  for (const text of document.querySelectorAll(".chart svg text")) {
    if (!isVisible(text)) continue;
    const [red, green, blue] = getComputedStyle(text).fill.match(/\d+/g).map(Number);
    if (red + green + blue === 0) say(text, "is black: its colour is none of the page's");
  }
  return problems;
}

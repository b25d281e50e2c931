// audit looks at the page as it is now, with the eyes of whom it must serve too. The
// functions return what is wrong, each as a line.
window.audit = (() => {
  const name = (e) => `${e.localName}${e.id && `#${e.id}`}${Array.from(e.classList, (c) => `.${c}`).join("")} "${(e.textContent || e.value || "").trim().slice(0, 30)}"`;
  const rgba = (text) => [...text.match(/[\d.]+/g).map(Number), 1].slice(0, 4);
  const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
  const style = (e, part) => getComputedStyle(e, part);
  const visible = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".visually-hidden");
  const up = (e) => (e ? [e, ...up(e.parentElement)] : []);

  // The colours under an element's content, from the canvas upwards.
  const behind = (e) => up(e).reverse().reduce((under, each) => over(rgba(style(each).backgroundColor), under), [255, 255, 255]);

  const luminance = (c) => {
    const [r, g, b] = c.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const seen = (colour, e) => {
    const under = behind(e);
    const opacity = up(e).reduce((all, each) => all * style(each).opacity, 1);
    const [r, g, b, a] = rgba(colour);
    return contrast(over([r, g, b, a * opacity], under), under);
  };

  const problems = (check) => {
    const found = new Set();
    check((ok, what) => ok || found.add(what));
    return [...found].join("\n");
  };

  // WCAG's levels of AA: 4.5 for text, 3 for large text and for what is not text.
  function text(expect) {
    const check = (e, part) => {
      const { color, fontSize, fontWeight } = style(e, part);
      const large = parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && fontWeight >= 700);
      const ratio = seen(color, e);
      expect(ratio >= (large ? 3 : 4.5), `contrast ${ratio.toFixed(2)} of the text of ${name(e)}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const e = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() && visible(e) && !e.closest("[aria-disabled=true], script, noscript")) check(e);
    }
    for (const e of document.querySelectorAll("input")) if (visible(e) && e.type === "text") [check(e), check(e, "::placeholder")];
    for (const e of document.querySelectorAll("polyline")) expect(seen(style(e).stroke, e) >= 3, `contrast of the line of ${name(e.closest("figure"))}`);
  }

  const controls = () => Array.from(document.querySelectorAll("a[href], button, input, summary, [tabindex]:not([tabindex='-1'])")).filter(visible);
  const box = (e) => (e.type === "radio" ? e.closest("label") : e); // what is drawn in place of it

  function eachControl(expect) {
    for (const e of controls()) {
      const label = e.ariaLabel || (e.getAttribute("aria-labelledby") && document.getElementById(e.getAttribute("aria-labelledby")).textContent) || (e.labels ? e.labels[0]?.textContent : "") || e.textContent;
      expect(label.trim(), `no label for ${name(e)}`);
      const { width, height } = box(e).getBoundingClientRect();
      expect(e.localName === "a" || (width >= 24 && height >= 24), `${width} x ${height} px for ${name(e)}`);
      const { borderTopWidth, borderTopColor, backgroundColor } = style(box(e));
      const around = box(e).parentElement;
      const ratio = Math.max(seen(borderTopColor, around), seen(backgroundColor, around));
      if (parseFloat(borderTopWidth) && rgba(borderTopColor)[3]) expect(ratio >= 3, `contrast ${ratio.toFixed(2)} of the outline of ${name(e)}`);
    }
  }

  function layout(expect) {
    const over = document.documentElement.scrollWidth - innerWidth;
    expect(over <= 0, `${over} px too wide`);
    for (const e of document.body.querySelectorAll("*")) {
      if (!visible(e) || !(e instanceof HTMLElement)) continue;
      const { overflowX, overflowY, textOverflow, webkitLineClamp } = style(e);
      if (overflowX !== "visible" && textOverflow !== "ellipsis" && e.localName !== "input") expect(e.scrollWidth <= e.clientWidth, `cut off at the side: ${name(e)}`);
      const scrolls = (overflowY === "auto" || overflowY === "scroll") && e.scrollHeight > e.clientHeight;
      if (scrolls && webkitLineClamp === "none") expect(controls().some((c) => e.contains(c)), `no key scrolls ${name(e)}`);
    }
  }

  function structure(expect) {
    expect(document.documentElement.lang && document.title && document.querySelector("main"), "no language, title or main part");
    const levels = Array.from(document.querySelectorAll("h1, h2, h3, h4")).filter(visible).map((h) => Number(h.localName[1]));
    expect(levels.length > 0 && levels.filter((l) => l === 1).length <= 1, `headings of levels ${levels}`);
    expect(levels.every((l, i) => l <= 2 || levels[i - 1] >= l - 1), `a level is left out of the headings ${levels}`);
    for (const attribute of ["aria-labelledby", "aria-controls", "aria-describedby", "for"]) {
      for (const e of document.querySelectorAll(`[${attribute}]`)) expect(document.getElementById(e.getAttribute(attribute)), `${attribute} of ${name(e)} names nothing`);
    }
    for (const e of document.querySelectorAll("[id]")) expect(document.querySelectorAll(`[id="${e.id}"]`).length === 1, `several #${e.id}`);
    expect(!matchMedia("(prefers-reduced-motion: reduce)").matches || document.getAnimations().length === 0, "something moves, though motion is not wanted");
  }

  let reached = new Set();
  const current = () => (document.activeElement === document.body ? null : document.activeElement);

  return {
    page: () => problems((expect) => [text, eachControl, layout, structure].forEach((check) => check(expect))),
    // So that the next Tab comes to the first.
    begin() {
      reached = new Set();
      document.body.tabIndex = -1;
      document.body.focus();
      document.body.removeAttribute("tabindex");
    },
    // What the Tab key has come to: "end" once it has been round.
    focus() {
      const e = current();
      if (!e || reached.has(e)) return "end";
      reached.add(e);
      return problems((expect) => {
        const { outlineStyle, outlineWidth, outlineColor } = style(box(e));
        const ratio = seen(outlineColor, box(e).parentElement);
        expect(outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && ratio >= 3, `focus on ${name(e)} does not show: ${outlineStyle} ${outlineWidth} ${ratio.toFixed(2)}`);
        const { top, left, bottom, right } = e.getBoundingClientRect();
        expect(bottom > 0 && right > 0 && top < innerHeight && left < innerWidth, `focus on ${name(e)} is out of sight`);
        expect(e.tabIndex === 0, `${name(e)} is out of order`);
      });
    },
    unreached: () => problems((expect) => {
      for (const e of controls()) expect(reached.has(e) || (e.type === "radio" && !e.checked), `no Tab comes to ${name(e)}`);
    }),
  };
})();

// The address says what is shown: #section=items&decision=reject&sort=-conflict&item=...
const stateOf = (hash) => Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
const linkTo = (state) => "#" + new URLSearchParams(Object.entries(state).filter(([, value]) => value != null && value !== ""));

function goTo(state, replace = false) {
  const link = linkTo(state);
  if (link === location.hash) return;
  if (!replace) {
    location.hash = link;
    return;
  }
  history.replaceState(null, "", link);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

const TITLES = {overview: "Overview", items: "Items", knowledge: "Knowledge", observers: "Observers", compare: "Compare"};

async function start() {
  const facts = await block("facts");
  const table = await readTable(facts);
  const items = itemsSection(facts, table);
  const makers = {
    overview: () => overviewSection(facts),
    items: () => items.section,
    knowledge: () => knowledgeSection(facts, table),
    observers: () => observersSection(facts),
    ...(facts.comparison && {compare: () => comparisonSection(facts)}),
  };
  const names = Object.keys(makers), main = document.getElementById("main");
  const links = names.map((name) => make("a", {href: linkTo({section: name})}, TITLES[name]));
  document.getElementById("sections").append(...links);
  const parts = names.map((name) => make("section", {id: `section-${name}`, "aria-label": TITLES[name], hidden: true}));
  main.append(...parts);
  const filled = new Set();
  const fillIn = (name) => {
    if (filled.has(name)) return;
    filled.add(name);
    fill(parts[names.indexOf(name)], {}, [make("h2", {}, TITLES[name]), makers[name]()]);
  };

  async function show() {
    const state = stateOf(location.hash);
    const name = names.includes(state.section) ? state.section : state.item ? "items" : "overview";
    fillIn(name);
    names.forEach((one, at) => {
      parts[at].hidden = one !== name;
      if (one === name) links[at].setAttribute("aria-current", "page");
      else links[at].removeAttribute("aria-current");
      if (one === "items" && name === "items") links[at].href = linkTo({...state, section: "items"});
    });
    if (name === "items") await items.show(state);
  }

  addEventListener("hashchange", () => show());
  addEventListener("beforeprint", () => {
    names.forEach(fillIn);
    items.print(true);
  });
  addEventListener("afterprint", () => items.print(false));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && stateOf(location.hash).item) goTo({...stateOf(location.hash), item: null});
  });
  await show();
  document.getElementById("status").remove();
  document.documentElement.dataset.ready = "yes";
  document.documentElement.dataset.milliseconds = Math.round(performance.now());
}

start().catch((error) => {
  document.getElementById("status").textContent = `This page cannot be shown: ${error.message}`;
  console.error(error);
});

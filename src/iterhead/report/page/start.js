// How every page begins.

/** Read the data and hand it to what draws the page; say so where that fails. */
async function start(begin) {
  try {
    await begin(await readData(byId("data")));
    document.documentElement.dataset.ready = "true";
  } catch (error) {
    setText(byId("failure"), `This page could not be drawn (${error.message}). It needs a browser of 2023 or later.`);
    byId("failure").hidden = false;
    throw error;
  }
}

/** Take the colours anew, and count up the state's `theme`, when it becomes dark or light, or goes on paper. */
function followTheme(colours, state) {
  const repaint = () => {
    colours.read();
    state.set({ theme: state.get("theme") + 1 });
  };
  for (const query of ["(prefers-color-scheme: dark)", "print"])
    window.matchMedia(query).addEventListener("change", repaint);
}

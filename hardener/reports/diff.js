for (const button of document.querySelectorAll("tr.fold button")) {
  const row = button.closest("tr"), body = row.parentElement.nextElementSibling;
  body.hidden = true; row.hidden = false;
  button.onclick = () => { body.hidden = false; row.hidden = true; const first = body.querySelector("tr"); first.tabIndex = -1; first.focus(); };
}
{
  const stops = [...document.querySelectorAll("tr.stop")];
  let at = -1;
  const go = step => {
    if (!stops.length) return;
    if (at >= 0) stops[at].classList.remove("here");
    at = (at + step + stops.length) % stops.length;
    stops[at].classList.add("here"); stops[at].tabIndex = -1; stops[at].focus({ preventScroll: true }); stops[at].scrollIntoView({ block: "center" });
  };
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") go(1); else if (event.key === "k") go(at < 0 ? 0 : -1);
  });
}

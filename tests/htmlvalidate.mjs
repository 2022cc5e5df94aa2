export default {
  root: true,
  extends: ["html-validate:standard", "html-validate:document"],
  rules: {
    "no-missing-references": "error",
    "require-sri": "off",  // every file comes from this very site
    "input-missing-label": "off",  // axe-core knows hidden ones apart
    // without it Firefox would open the drawer and the search again after a reload
    "valid-autocomplete": "off",
    "input-attributes": "off",
  },
};

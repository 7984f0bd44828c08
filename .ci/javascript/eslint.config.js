import js from "@eslint/js";
import globals from "globals";

export default [
  { ...js.configs.recommended, files: ["**/*.js"] },
  {
    files: ["**/*.js"],
    languageOptions: { globals: globals.browser, ecmaVersion: 2022, sourceType: "module" },
    rules: { eqeqeq: "error", "no-implicit-globals": "error", "prefer-const": "error", "no-eval": "error",
      "no-restricted-properties": ["error",
        { property: "innerHTML", message: "text must never become markup: use el()" },
        { property: "outerHTML", message: "text must never become markup: use el()" },
        { property: "insertAdjacentHTML", message: "text must never become markup: use el()" }] },
  },
];

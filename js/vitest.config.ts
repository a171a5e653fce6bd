import { defineConfig } from "vitest/config";

import { METHOD } from "./method.mjs";

export default defineConfig({
  define: METHOD,
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
  },
});

export default {
  mode: "production",
  entry: { page: "./page.js" },
  stats: { all: false, errors: true, warnings: true },
};

// The gateway's frame: what its pages link to.

export const frame = {
  role: "gateway",
  hasLogin: true,
  links: [["/", "Market"], ["/prices", "Prices"], ["/application", "Application"], ["/playground", "Playground"]],
};

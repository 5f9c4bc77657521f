SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null, // no foreign host
  queryConfigEnabled: false, // nobody's ?url= loads another document here
});

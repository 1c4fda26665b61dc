// The API's document in Swagger UI, which comes with the gateway: nothing is loaded from elsewhere.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});

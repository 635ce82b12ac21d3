/** The build compiles a template to a function that fills it in (scripts/handlebars-module.cjs). */
declare module '*.hbs' {
  const fill: (values: import('./plan').TemplateValues) => string;
  export default fill;
}

// Deploys the folder of a release as a nested stack: npx cdk deploy --context dist=FOLDER
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, CfnOutput, CfnStack, Stack } from 'aws-cdk-lib';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';

interface Props {
  /** The folder of the release. */
  dist: string;
  /** Parameters of the template: docs/reference/parameters.md. */
  parameters?: Record<string, string>;
}

/** aurora-sync, as its template describes it. */
class AuroraSync extends Construct {
  readonly stack: CfnStack;

  constructor(scope: Construct, id: string, { dist, parameters }: Props) {
    super(scope, id);
    // Each program is an asset, and the template, which names the programs, another one.
    const template = readFileSync(join(dist, 'template.yaml'), 'utf8');
    const located = template.replace(/CodeUri: (\S+)/g, (_, path: string) => {
      const code = new Asset(this, path.replaceAll(/\W/g, '-'), { path: join(dist, path) });
      const location = Stack.of(this).resolve({ Bucket: code.s3BucketName, Key: code.s3ObjectKey });
      return `CodeUri: ${JSON.stringify(location)}`;
    });
    const file = join(mkdtempSync(join(tmpdir(), 'aurora-sync-')), 'template.yaml');
    writeFileSync(file, located);
    const { httpUrl } = new Asset(this, 'Template', { path: file });
    this.stack = new CfnStack(this, 'Stack', { templateUrl: httpUrl, parameters });
  }

  /** An output of the template, such as ApiUrl. */
  output(name: string): string {
    return this.stack.getAtt(`Outputs.${name}`).toString();
  }
}

const app = new App();
const stack = new Stack(app, 'AuroraSync');
const sync = new AuroraSync(stack, 'Sync', {
  dist: app.node.tryGetContext('dist') ?? '../../dist',
  parameters: { MaxCapacity: '4' },
});
new CfnOutput(stack, 'ApiUrl', { value: sync.output('ApiUrl') });

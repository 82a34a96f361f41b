import { render } from 'preact';
import '../../../../ui/src/tokens.css';
import '../../../../ui/src/base.css';
import 'uplot/dist/uPlot.min.css';
import './page.css';
import { takeToken } from '../../../../ui/src/token.ts';
import { App } from './app.tsx';

takeToken();
const place = document.getElementById('app');
if (place) render(<App />, place);
